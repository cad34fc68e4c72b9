// pgjdbc through the gateway. Prints one line per check that held.
import java.sql.*;
import java.io.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class PgjdbcMatrix {
  static final String HOST = "jdbc:postgresql://127.0.0.1:" + System.getenv("PGPORT") + "/";

  static Connection connect(String... settings) throws SQLException {
    Properties all = new Properties();
    all.putAll(Map.of("user", "someone", "password", System.getenv("PGPASSWORD"), "sslmode", "verify-full", "sslrootcert", System.getenv("PGSSLROOTCERT")));
    for (int i = 0; i < settings.length; i += 2) all.put(settings[i], settings[i + 1]);
    return DriverManager.getConnection(HOST + all.getOrDefault("resource", System.getenv("PGDATABASE")), all);
  }
  static void same(Object actual, Object expected) { if (!Objects.equals(actual, expected)) throw new AssertionError("got " + actual + ", expected " + expected); }
  interface Body { void run() throws Exception; }
  static SQLException fails(String state, Body body) throws Exception {
    try { body.run(); } catch (SQLException error) { same(error.getSQLState(), state); return error; }
    throw new AssertionError("did not fail with " + state);
  }
  static void refused(Body body) throws Exception {
    String words = fails("42501", body).getMessage();
    if (!words.contains("refused by Sluice: rule \"agents/no-ddl\"") || !words.contains("migrations")) throw new AssertionError(words);
  }
  static void check(String name, Body body) throws Exception { body.run(); System.out.println("ok " + name); }
  static String one(Connection db, String sql) throws SQLException { try (Statement s = db.createStatement(); ResultSet r = s.executeQuery(sql)) { r.next(); return r.getString(1); } }

  public static void main(String[] arguments) throws Exception {
    check("TLS verified, required and without; ways to prepare", () -> {
      for (String[] settings : new String[][] {{}, {"sslNegotiation", "direct"}, {"sslmode", "require"}, {"sslmode", "disable"}, {"preferQueryMode", "simple"}, {"preferQueryMode", "extendedForPrepared"}, {"preferQueryMode", "extendedCacheEverything"}, {"prepareThreshold", "1"}, {"prepareThreshold", "0"}, {"binaryTransfer", "false"}, {"prepareThreshold", "-1"}})
        try (Connection db = connect(settings)) { for (int i = 0; i < 3; i++) same(one(db, "SELECT ssn FROM customers WHERE id = 1"), "[hidden]"); }
    });
    check("a statement prepared on the server after five runs", () -> {
      try (Connection db = connect(); PreparedStatement find = db.prepareStatement("SELECT id, ssn, notes, active, balance FROM customers WHERE id = ?")) {
        for (int i = 0; i < 20; i++) {
          find.setInt(1, 1 + i % 3);
          try (ResultSet r = find.executeQuery()) {
            same(r.next(), true);
            same(r.getInt(1), 1 + i % 3);
            same(r.getString(2), i % 3 == 2 ? null : "[hidden]");
            same(r.getString(3), i % 3 == 0 ? "call after six" : i % 3 == 1 ? "his number is [hidden]" : null);
            same(r.getObject(4), i % 3 == 0 ? (Object) true : i % 3 == 1 ? (Object) false : null);
            same(r.next(), false);
          }
        }
        find.setNull(1, Types.INTEGER);
        try (ResultSet r = find.executeQuery()) { same(r.next(), false); }
      }
    });
    check("arrays, bytes, dates", () -> {
      try (Connection db = connect(); PreparedStatement find = db.prepareStatement("SELECT tags, numbers, photo, joined, document FROM customers WHERE id = ANY(?) ORDER BY id")) {
        for (int i = 0; i < 7; i++) {
          find.setArray(1, db.createArrayOf("int4", new Integer[] {1, 3}));
          try (ResultSet r = find.executeQuery()) {
            r.next();
            same(Arrays.asList((Object[]) r.getArray(1).getArray()), Arrays.asList("vip", "two words", null));
            same(Arrays.asList((Object[]) r.getArray(2).getArray()), Arrays.asList(1, 2, null));
            same(r.getBytes(3).length, 2);
            same(r.getObject(4, java.time.OffsetDateTime.class).toInstant().toString(), "2024-01-02T03:04:05Z");
            same(r.getString(5), "{\"a\": [1, null]}");
            r.next();
            same(r.getArray(1), null);
          }
        }
      }
    });
    check("a refusal is an ordinary exception and the session goes on", () -> {
      try (Connection db = connect(); Statement s = db.createStatement()) {
        refused(() -> s.execute("DROP TABLE orders"));
        refused(() -> { try (PreparedStatement p = db.prepareStatement("TRUNCATE orders")) { p.execute(); } });
        fails("22012", () -> s.execute("SELECT 1/0"));
        fails("42P01", () -> s.execute("SELECT * FROM nowhere"));
        same(one(db, "SELECT 1"), "1");
        same(s.execute("SELECT 1; SELECT ssn FROM customers WHERE id = 1"), true);
        same(s.getMoreResults(), true);
        try (ResultSet r = s.getResultSet()) { r.next(); same(r.getString(1), "[hidden]"); }
      }
    });
    check("transactions, savepoints, autosave", () -> {
      try (Connection db = connect(); Statement s = db.createStatement()) {
        db.setAutoCommit(false);
        db.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        s.executeUpdate("INSERT INTO jottings(body) VALUES ('undone')");
        refused(() -> s.execute("DROP TABLE orders"));
        fails("25P02", () -> s.execute("SELECT 1"));
        db.rollback();
        s.executeUpdate("INSERT INTO jottings(body) VALUES ('kept')");
        Savepoint point = db.setSavepoint();
        refused(() -> s.execute("DROP TABLE orders"));
        db.rollback(point);
        db.commit();
        same(s.executeUpdate("DELETE FROM jottings WHERE body IN ('kept', 'undone')"), 1);
        db.commit();
        db.setReadOnly(true);
        fails("25006", () -> s.executeUpdate("DELETE FROM jottings"));
        db.rollback();
      }
      try (Connection db = connect("autosave", "always"); Statement s = db.createStatement()) {
        db.setAutoCommit(false);
        refused(() -> s.execute("DROP TABLE orders"));
        same(one(db, "SELECT 1"), "1");
        db.commit();
      }
    });
    check("fetchSize reads a portal in pieces", () -> {
      try (Connection db = connect()) {
        db.setAutoCommit(false);
        try (PreparedStatement all = db.prepareStatement("SELECT o.id, c.ssn FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id")) {
          for (int turn = 0; turn < 7; turn++) {
            all.setFetchSize(turn == 0 ? 700 : 5_000);
            int rows = 0;
            try (ResultSet r = all.executeQuery()) { while (r.next()) { rows++; if (r.getString(2) != null) same(r.getString(2), "[hidden]"); same(r.getInt(1), rows); } }
            same(rows, 20_000);
          }
        }
        db.commit();
      }
    });
    check("batches, generated keys, rewritten inserts", () -> {
      for (String rewrite : new String[] {"false", "true"})
        try (Connection db = connect("reWriteBatchedInserts", rewrite)) {
          db.setAutoCommit(false);
          try (PreparedStatement add = db.prepareStatement("INSERT INTO jottings(body) VALUES (?)")) {
            for (int i = 0; i < 1_000; i++) { add.setString(1, "batch " + i); add.addBatch(); }
            same(add.executeBatch().length, 1_000);
          }
          try (PreparedStatement add = db.prepareStatement("INSERT INTO jottings(body) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            add.setString(1, "keyed");
            add.executeUpdate();
            try (ResultSet keys = add.getGeneratedKeys()) { same(keys.next(), true); same(keys.getString("body"), "keyed"); }
          }
          try (Statement s = db.createStatement()) {
            s.addBatch("DELETE FROM jottings WHERE body LIKE 'batch %'");
            s.addBatch("DELETE FROM jottings WHERE body = 'keyed'");
            same(Arrays.stream(s.executeBatch()).sum(), 1_001);
            db.commit();
            s.addBatch("SELECT 1");
            s.addBatch("DROP TABLE orders");
            fails("42501", () -> { try { s.executeBatch(); } catch (BatchUpdateException error) { throw error.getNextException() == null ? error : error.getNextException(); } });
            db.rollback();
          }
        }
    });
    check("DatabaseMetaData and ResultSetMetaData", () -> {
      try (Connection db = connect()) {
        DatabaseMetaData about = db.getMetaData();
        Set<String> tables = new TreeSet<>();
        try (ResultSet r = about.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"})) { while (r.next()) tables.add(r.getString("TABLE_NAME")); }
        same(tables, new TreeSet<>(List.of("customers", "jottings", "orders", "paid_orders")));
        int columns = 0;
        try (ResultSet r = about.getColumns(null, "public", "customers", "%")) { while (r.next()) columns++; }
        same(columns, 12);
        try (ResultSet r = about.getPrimaryKeys(null, "public", "orders")) { r.next(); same(r.getString("COLUMN_NAME"), "id"); }
        try (ResultSet r = about.getImportedKeys(null, "public", "orders")) { r.next(); same(r.getString("PKTABLE_NAME"), "customers"); }
        try (ResultSet r = about.getExportedKeys(null, "public", "customers")) { same(r.next(), true); }
        try (ResultSet r = about.getIndexInfo(null, "public", "orders", false, false)) { same(r.next(), true); }
        for (ResultSet r : List.of(about.getSchemas(), about.getCatalogs(), about.getTableTypes(), about.getTypeInfo(), about.getFunctions(null, "public", "%"), about.getProcedures(null, null, "%"), about.getUDTs(null, null, "%", null), about.getTablePrivileges(null, "public", "%"), about.getColumnPrivileges(null, "public", "customers", "%"), about.getBestRowIdentifier(null, "public", "orders", DatabaseMetaData.bestRowSession, true), about.getFunctionColumns(null, "public", "%", "%"), about.getClientInfoProperties())) { r.next(); r.close(); }
        about.getSQLKeywords();
        about.getMaxColumnsInTable();
        about.getStringFunctions();
        try (PreparedStatement p = db.prepareStatement("SELECT id, ssn FROM customers WHERE id = ?")) {
          same(p.getParameterMetaData().getParameterType(1), Types.INTEGER);
          same(p.getMetaData().getColumnTypeName(2), "text");
          p.setInt(1, 1);
          try (ResultSet r = p.executeQuery()) { same(((org.postgresql.PGResultSetMetaData) r.getMetaData()).getBaseTableName(1), "customers"); same(r.getMetaData().isNullable(1), ResultSetMetaData.columnNoNulls); }
        }
      }
    });
    check("COPY, notifications, cancel, timeouts", () -> {
      try (Connection db = connect(); Statement s = db.createStatement()) {
        CopyManager copies = db.unwrap(PGConnection.class).getCopyAPI();
        StringWriter out = new StringWriter();
        copies.copyOut("COPY (SELECT id, ssn FROM customers ORDER BY id) TO STDOUT", out);
        same(out.toString(), "1\t[hidden]\n2\t[hidden]\n3\t\\N\n");
        same(copies.copyIn("COPY jottings(body) FROM STDIN", new StringReader("one\ntwo\n")), 2L);
        same(s.executeUpdate("DELETE FROM jottings"), 2);
        fails("42501", () -> copies.copyOut("COPY orders TO PROGRAM 'id'", new StringWriter()));
        s.execute("LISTEN news");
        s.execute("NOTIFY news, 'ssn 123-45-6789'");
        same(db.unwrap(PGConnection.class).getNotifications(2_000)[0].getParameter(), "ssn [hidden]");
        s.setQueryTimeout(1);
        fails("57014", () -> s.executeQuery("SELECT count(*) FROM orders a, orders b, orders c"));
        s.setQueryTimeout(0);
        same(one(db, "SELECT 1"), "1");
        same(db.isValid(2), true);
        db.setSchema("public");
        db.setClientInfo("ApplicationName", "matrix");
        db.setNetworkTimeout(Runnable::run, 5_000);
      }
    });
    check("a wrong password and a resource that is not there", () -> {
      fails("28P01", () -> connect("password", "not a token"));
      fails("3D000", () -> connect("resource", "nowhere"));
    });
  }
}
