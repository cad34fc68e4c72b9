"""SQLAlchemy over psycopg 3 through the gateway: reflection, ORM sessions, bulk inserts, streams. Prints one line per check that held."""
import os
import sqlalchemy as sa
from sqlalchemy import exc, orm

URL = sa.URL.create('postgresql+psycopg', 'someone', os.environ['PGPASSWORD'], '127.0.0.1', int(os.environ['PGPORT']), os.environ['PGDATABASE'], {'sslmode': 'verify-full', 'sslrootcert': os.environ['PGSSLROOTCERT']})
engine = sa.create_engine(URL, pool_size=3)
CHECKS = []
check = lambda function: CHECKS.append(function) or function


class Base(orm.DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = 'customers'
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    ssn: orm.Mapped[str | None]
    orders: orm.Mapped[list['Order']] = orm.relationship(back_populates='customer')


class Order(Base):
    __tablename__ = 'orders'
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    customer_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey('customers.id'))
    amount: orm.Mapped[float] = orm.mapped_column(sa.Numeric(12, 2))
    customer: orm.Mapped[Customer] = orm.relationship(back_populates='orders')


class Jotting(Base):
    __tablename__ = 'jottings'
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    body: orm.Mapped[str]


@check
def reflection():
    seen = sa.inspect(engine)
    assert set(seen.get_table_names()) >= {'customers', 'orders', 'jottings'} and seen.get_view_names() == ['paid_orders']
    assert seen.get_pk_constraint('orders')['constrained_columns'] == ['id']
    assert seen.get_foreign_keys('orders')[0]['referred_table'] == 'customers'
    assert [i['name'] for i in seen.get_indexes('orders')] == ['orders_customer']
    assert seen.get_unique_constraints('jottings')[0]['column_names'] == ['body']
    assert seen.get_enums()[0]['labels'] == ['sad', 'ok', 'happy']
    assert 'SELECT' in seen.get_view_definition('paid_orders')
    seen.get_check_constraints('orders'), seen.get_table_comment('orders'), seen.get_sequence_names(), seen.get_schema_names(), seen.get_materialized_view_names(), seen.get_domains()
    meta = sa.MetaData()
    meta.reflect(engine, views=True)
    assert isinstance(meta.tables['customers'].c.tags.type, sa.ARRAY)
    with engine.connect() as db:
        assert db.execute(sa.select(meta.tables['customers'].c.ssn, meta.tables['customers'].c.tags).order_by(sa.text('id'))).first() == ('[hidden]', ['vip', 'two words', None])
    assert meta.tables['paid_orders'].c.keys() == ['id', 'customer_id', 'amount', 'status', 'placed']


@check
def orm_sessions_load_and_write():
    with orm.Session(engine) as session:
        alice = session.get(Customer, 1)
        assert alice.ssn == '[hidden]' and session.get(Customer, 3).ssn is None
        assert len(session.scalars(sa.select(Order).options(orm.joinedload(Order.customer)).limit(10)).all()) == 10
        assert len(session.scalars(sa.select(Customer).options(orm.selectinload(Customer.orders))).first().orders) > 6_000
        session.add_all([Jotting(body=f'note {i}') for i in range(500)])
        session.flush()
        note = session.scalars(sa.select(Jotting).where(Jotting.body == 'note 7')).one()
        note.body = 'changed'
        session.commit()
        assert session.scalar(sa.select(sa.func.count()).select_from(Jotting)) == 500
        assert session.execute(sa.delete(Jotting)).rowcount == 500
        session.commit()


@check
def refusals_are_errors_and_sessions_go_on():
    with orm.Session(engine) as session:
        session.add(Jotting(body='undone'))
        session.flush()
        try:
            session.execute(sa.text('DROP TABLE orders'))
            raise AssertionError('was not refused')
        except exc.ProgrammingError as error:
            assert error.orig.sqlstate == '42501' and 'refused by Sluice' in str(error), error
        session.rollback()
        assert session.scalar(sa.select(sa.func.count()).select_from(Jotting)) == 0
        with session.begin_nested() as nested:
            try:
                session.execute(sa.text('TRUNCATE orders'))
            except exc.ProgrammingError:
                nested.rollback()
        assert session.scalar(sa.text('SELECT 1')) == 1
    more = sa.MetaData()
    sa.Table('unheard', more, sa.Column('id', sa.Integer))
    try:
        more.create_all(engine)
        raise AssertionError('was not refused')
    except exc.ProgrammingError as error:
        assert error.orig.sqlstate == '42501'


@check
def streams_levels_and_the_pool():
    with engine.connect().execution_options(stream_results=True, yield_per=1_000) as db:
        assert sum(1 for _ in db.execute(sa.select(Order))) == 20_000
    with engine.connect().execution_options(isolation_level='SERIALIZABLE') as db:
        assert db.scalar(sa.text('SHOW transaction_isolation')) == 'serializable'
    with engine.connect().execution_options(isolation_level='AUTOCOMMIT') as db:
        assert db.scalar(sa.text('SELECT 1')) == 1
    held = [engine.connect() for _ in range(3)]
    assert [db.scalar(sa.text('SELECT CAST(:n AS int)'), {'n': i}) for i, db in enumerate(held)] == [0, 1, 2]
    for db in held:
        db.close()
    pinged = sa.create_engine(URL, pool_pre_ping=True)
    for _ in range(3):
        with pinged.connect() as db:
            db.execute(sa.text('SELECT 1'))


for function in CHECKS:
    function()
    print('ok', function.__name__.replace('_', ' '), flush=True)
