"""psycopg 3 through the gateway. Its binary package carries libpq 18: direct TLS and protocol 3.2. Prints one line per check that held."""
import os
import sys
import threading
import psycopg
from psycopg import errors, pq, rows

WHERE = dict(host='127.0.0.1', port=os.environ['PGPORT'], dbname=os.environ['PGDATABASE'], user='someone', password=os.environ['PGPASSWORD'])
SECURE = dict(sslmode='verify-full', sslrootcert=os.environ['PGSSLROOTCERT'])
connect = lambda **more: psycopg.connect(**{**WHERE, **SECURE, **more})
CHECKS = []
check = lambda function: CHECKS.append(function) or function


def refused(run):
    try:
        run()
    except errors.InsufficientPrivilege as error:
        assert error.sqlstate == '42501' and 'refused by Sluice: rule "agents/no-ddl"' in str(error), error
        assert 'migrations' in error.diag.message_detail and error.diag.message_hint, error.diag.message_detail
    else:
        raise AssertionError('was not refused')


@check
def direct_tls_and_protocol_3_2():
    assert pq.version() >= 180000, pq.version()
    newest = dict(min_protocol_version='3.2', max_protocol_version='latest')
    for settings in ({}, dict(sslnegotiation='direct'), dict(max_protocol_version='3.2'), {**newest, 'sslnegotiation': 'direct'}, dict(sslmode='disable'), dict(sslmode='require', gssencmode='disable')):
        with connect(**settings) as db:
            expected = 30002 if 'max_protocol_version' in settings else 30000
            assert getattr(db.pgconn, 'full_protocol_version', expected) == expected
            assert db.execute('SELECT ssn FROM customers WHERE id = 1').fetchone() == ('[hidden]',), settings
            assert db.pgconn.ssl_in_use == (settings.get('sslmode') != 'disable')


@check
def a_cancel_finds_its_session_under_both_key_lengths():
    for version in ('3.0', '3.2'):
        with connect(min_protocol_version=version, max_protocol_version=version, autocommit=True) as db:
            timer = threading.Timer(0.3, db.cancel_safe)
            timer.start()
            try:
                db.execute('SELECT count(*) FROM orders a, orders b, orders c')
                raise AssertionError('was not cancelled')
            except errors.QueryCanceled:
                pass
            timer.join()
            assert db.execute('SELECT 1').fetchone() == (1,)


@check
def rows_in_text_and_binary_and_prepared():
    with connect() as db:
        for binary in (False, True):
            cursor = db.cursor(binary=binary)
            got = cursor.execute('SELECT id, ssn, card_number, notes, active FROM customers ORDER BY id').fetchall()
            assert got == [(1, '[hidden]', '[hidden]', 'call after six', True), (2, '[hidden]', '[hidden]', 'his number is [hidden]', False), (3, None, None, None, None)], got
            got = cursor.execute('SELECT tags, numbers, document, photo, balance::text, joined FROM customers WHERE id = %s', (1,)).fetchone()
            assert got[:5] == (['vip', 'two words', None], [1, 2, None], {'a': [1, None]}, b'\x00\xff', '12.50') and got[5].year == 2024, got
            for number, ssn in ((1, '[hidden]'), (3, None), (2, '[hidden]'), (None, ...)):
                found = cursor.execute('SELECT ssn FROM customers WHERE id = %s', (number,), prepare=True).fetchall()
                assert found == ([] if ssn is ... else [(ssn,)]), found
        assert db.execute('SELECT id FROM customers WHERE id = ANY(%s) ORDER BY id', ([1, 3],)).fetchall() == [(1,), (3,)]
        for _ in range(12):  # prepared by itself after 5
            assert db.execute('SELECT ssn FROM customers WHERE id = %s', (1,)).fetchone() == ('[hidden]',)


@check
def refusals_in_and_out_of_transactions():
    with connect(autocommit=True) as db:
        refused(lambda: db.execute('DROP TABLE orders'))
        refused(lambda: db.execute('TRUNCATE orders', prepare=True))
        assert db.execute('SELECT 1').fetchone() == (1,)
    with connect() as db:
        db.execute("INSERT INTO jottings(body) VALUES ('undone')")
        refused(lambda: db.execute('DROP TABLE orders'))
        try:
            db.execute('SELECT 1')
            raise AssertionError('the transaction had not failed')
        except errors.InFailedSqlTransaction:
            db.rollback()
        with db.transaction():
            db.execute("INSERT INTO jottings(body) VALUES ('kept')")
            try:
                with db.transaction():
                    refused(lambda: db.execute('DROP TABLE orders'))
                    raise psycopg.Rollback()
            except errors.InFailedSqlTransaction:
                pass
        assert db.execute('DELETE FROM jottings RETURNING body').fetchall() == [('kept',)]
    with connect() as db:
        db.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        db.read_only = True
        assert db.execute('SHOW transaction_isolation').fetchone() == ('serializable',)
        try:
            db.execute("INSERT INTO jottings(body) VALUES ('no')")
            raise AssertionError('read only was not kept')
        except errors.ReadOnlySqlTransaction:
            pass


@check
def pipelines():
    with connect(autocommit=True) as db:
        with db.pipeline():
            cursors = [db.execute('SELECT ssn, %s::int FROM customers WHERE id = 1', (i,)) for i in range(200)]
        assert [c.fetchone() for c in cursors] == [('[hidden]', i) for i in range(200)]
        with db.pipeline() as line:
            first = db.execute('SELECT 1')
            line.sync()
            try:
                db.execute('DROP TABLE orders')
                skipped = db.execute('SELECT 2')
                line.sync()
                raise AssertionError('was not refused')
            except errors.InsufficientPrivilege:
                pass
            try:
                line.sync()
            except errors.PipelineAborted:
                pass  # the refusal may be read before what is behind it was sent
            assert first.fetchone() == (1,)
        assert db.execute('SELECT 3').fetchone() == (3,)
    with connect() as db:
        with db.pipeline(), db.transaction():
            db.execute('INSERT INTO jottings(body) VALUES (%s)', ('one',))
            db.cursor().executemany('INSERT INTO jottings(body) VALUES (%s)', [('two',), ('three',)])
        assert db.execute('DELETE FROM jottings').rowcount == 3


@check
def cursors_on_the_server_and_streams():
    with connect() as db:
        for options in (dict(), dict(binary=True), dict(scrollable=True), dict(withhold=True)):
            binary = options.pop('binary', False)
            with db.cursor('held', **options) as cursor:
                cursor.itersize = 3_000
                cursor.execute('SELECT o.id, c.ssn FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id', binary=binary)
                seen = [row for row in cursor]
                assert len(seen) == 20_000 and {ssn for _, ssn in seen} == {'[hidden]', None}, len(seen)
                if 'scrollable' in options:
                    cursor.scroll(0, mode='absolute')
                    assert cursor.fetchmany(2)[1][0] == 2
        assert sum(1 for _ in db.cursor().stream('SELECT id, ssn FROM customers')) == 3
        assert len(db.execute('SELECT * FROM orders').fetchall()) == 20_000
        assert len(db.execute("SELECT repeat('é', 2000000)").fetchone()[0]) == 2_000_000
        assert db.cursor(row_factory=rows.dict_row).execute('SELECT ssn FROM customers WHERE id = 3').fetchone() == {'ssn': None}


@check
def copy_both_ways():
    with connect() as db:
        with db.cursor().copy('COPY (SELECT id, ssn FROM customers ORDER BY id) TO STDOUT') as copy:
            assert list(copy.rows()) == [('1', '[hidden]'), ('2', '[hidden]'), ('3', None)]
        with db.cursor().copy('COPY customers(id, ssn, tags) TO STDOUT (FORMAT binary)') as copy:
            copy.set_types(['int4', 'text', 'text[]'])
            assert list(copy.rows()) == [(1, '[hidden]', ['vip', 'two words', None]), (2, '[hidden]', []), (3, None, None)]
        for form in ('TEXT', 'BINARY'):
            with db.cursor().copy(f'COPY jottings(body) FROM STDIN (FORMAT {form})') as copy:
                if form == 'BINARY':
                    copy.set_types(['text'])
                for i in range(5_000):
                    copy.write_row((f'{form} {i}',))
        assert db.execute('SELECT count(*) FROM jottings').fetchone() == (10_000,)
        db.rollback()
        try:
            with db.cursor().copy('COPY jottings(body) FROM STDIN') as copy:
                copy.write_row(('x',))
                raise ZeroDivisionError
        except ZeroDivisionError:
            db.rollback()
        try:
            with db.cursor().copy("COPY jottings FROM PROGRAM 'id'") as copy:
                raise AssertionError('was not refused')
        except errors.InsufficientPrivilege:
            db.rollback()
        assert db.execute('SELECT 1').fetchone() == (1,)


@check
def notices_and_notifications():
    with connect(autocommit=True) as db:
        db.execute('LISTEN news')
        db.execute("NOTIFY news, 'ssn 123-45-6789'")
        assert [(n.channel, n.payload) for n in db.notifies(timeout=3, stop_after=1)] == [('news', 'ssn [hidden]')]


@check
def wrong_passwords_and_names():
    for wrong, words in ((dict(password='not a token'), ''), (dict(dbname='nowhere'), 'no resource "nowhere"')):
        try:
            connect(**wrong)
            raise AssertionError(f'{wrong} was let in')
        except psycopg.OperationalError as error:
            assert 'FATAL' in str(error) and words in str(error), error


for function in CHECKS:
    function()
    print('ok', function.__name__.replace('_', ' '), flush=True)
sys.exit(0)
