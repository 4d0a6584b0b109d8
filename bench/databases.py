"""The databases that are measured: pgbench's tables, and orders of jsonb and text, the same on every machine."""

import hashlib
import subprocess
from dataclasses import dataclass

from psycopg import sql

from bench.place import Place
from desbuquei_backups.postgres import connection as pg

# No random numbers: the same rows everywhere. About 540 bytes a row in a dump, of which gzip leaves an eighth.
_ORDERS = """
create table bench_orders (
    id bigint primary key, placed_at timestamptz not null, details jsonb not null, note text not null
);
insert into bench_orders
select g, timestamptz '2024-01-01 00:00:00+00' + g * interval '7 seconds',
       jsonb_build_object(
           'email', 'customer' || h % 50000 || '@example.com', 'sku', 'SKU-' || h % 9973, 'quantity', 1 + h % 9,
           'total', round((h % 100000) / 100.0, 2),
           'status', (array['paid', 'sent', 'delivered', 'returned'])[1 + h % 4],
           'city', (array['São Paulo', 'Recife', 'Manaus', 'Curitiba', 'Salvador'])[1 + h % 5]),
       'Order ' || g || repeat(': the customer asked for delivery in the morning, with the invoice in the box', 3)
           || '; it was packed, weighed and handed over under the tracking number ' || md5(g::text)
           || ', signed for as ' || md5((-g)::text)
  from (select g, hashint8(g)::bigint & 2147483647 as h from generate_series(1, {rows}) g) numbered
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a database is: pgbench's scale (100,000 accounts each) and the number of orders."""

    scale: int
    orders: int

    def __str__(self) -> str:
        return f"pgbench scale {self.scale}, {self.orders:,} rows of jsonb and text"


def made(place: Place, kind: str, size: Size) -> str:
    """The name of the database `kind` of that size; made unless the server has it, and read once to warm the cache."""
    name, like = f"{place.name}_{kind}", f"{size}; {hashlib.sha256(_ORDERS.encode()).hexdigest()[:8]}"
    with pg.connect(place.maintenance_url, setting="BENCH_DATABASE_URL") as connection:
        found = connection.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = %s", (name,)
        ).fetchone()
        if found is None or found[0] != like:
            _make(place, connection, name, size)
            # Written last: a database that was only half made bears no size.
            comment = sql.SQL("comment on database {} is {}")
            connection.execute(comment.format(sql.Identifier(name), sql.Literal(like)))
    command, environment = place.program("pg_dump", name)
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return name


def _make(place: Place, connection: pg.Connection, name: str, size: Size) -> None:
    database = sql.Identifier(name)
    connection.execute(sql.SQL("drop database if exists {}").format(database))
    connection.execute(sql.SQL("create database {} template template0 encoding 'UTF8'").format(database))
    command, environment = place.program("pgbench", name, "--initialize", "--quiet", f"--scale={size.scale}")
    subprocess.run(command, env=environment, capture_output=True, check=True)
    with pg.connect(place.url(name), setting="BENCH_DATABASE_URL") as inside:
        inside.execute(sql.SQL(_ORDERS).format(rows=sql.Literal(size.orders)))
        inside.execute("vacuum (freeze, analyze)")  # or the first reader would pay for the writer's hint bits
        inside.execute("checkpoint")
