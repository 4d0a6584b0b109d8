"""The table backup_logs itself: how it is made, what it has, and the one statement that writes it."""

from psycopg import sql

from desbuquei_backups.postgres.connection import Connection

BATCH = 1000
# Each column, and what it is called in the file.
COLUMNS = {
    "backup_id": "backup_id",
    "backup_type": "backup_type",
    "backup_timestamp": "backup_timestamp",
    "backup_size_bytes": "size",
    "status": "status",
    "recovery_tested": "recovery_tested",
    "database_name": "database",
    "checksum_md5": "checksum_md5",
    "checksum_sha256": "checksum_sha256",
    "s3_uri": "s3_uri",
    "storage_class": "storage_class",
    "duration_seconds": "duration_seconds",
    "error": "error",
    "copy_of": "copy_of",
    "same_as": "same_as",
    "operator": "operator",
    "reason": "reason",
}
# Tables that were made before these were thought of get them.
_LATER = ("copy_of", "same_as", "operator", "reason")
_TYPES = {
    "backup_timestamp": "timestamptz",
    "backup_size_bytes": "bigint",
    "recovery_tested": "boolean",
    "duration_seconds": "double precision",
}

# Row-level security without a policy: on platforms that publish the schema `public` as an API, only the owner reads it.
_TABLE = """
create table if not exists public.backup_logs (
    backup_id text primary key,
    backup_type text not null,
    backup_timestamp timestamptz not null,
    backup_size_bytes bigint not null,
    status text not null,
    recovery_tested boolean not null,
    database_name text not null,
    checksum_md5 text,
    checksum_sha256 text,
    s3_uri text,
    storage_class text,
    duration_seconds double precision,
    error text,
    copy_of text,
    same_as text,
    operator text,
    reason text
);
alter table public.backup_logs enable row level security;
do $$
declare reader text;
begin
    -- A platform's default privileges would grant it to the roles of its public API.
    for reader in
        select distinct case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end
          from pg_class c, aclexplode(c.relacl) a
         where c.oid = 'public.backup_logs'::regclass and a.grantee <> c.relowner
    loop
        execute 'revoke all on public.backup_logs from ' || reader;
    end loop;
end $$;
"""
_THERE = """
select attname from pg_catalog.pg_attribute
 where attrelid = to_regclass('public.backup_logs') and attnum > 0 and not attisdropped
"""
COUNT = "select count(*) from public.backup_logs"


def _listed(form: str, names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL(form).format(sql.Identifier(name), sql.SQL(_TYPES.get(name, "text"))) for name in names
    )


_CHANGED = [column for column in COLUMNS if column != "backup_id"]
# Rows are sent as one JSON array. What is equal already is not written again.
UPSERT = sql.SQL(
    "insert into public.backup_logs as old ({columns}) "
    "select {columns} from json_to_recordset(%s::json) as line({typed}) "
    "on conflict (backup_id) do update set {assigned} where ({ours}) is distinct from ({theirs})"
).format(
    columns=_listed("{0}", list(COLUMNS)),
    typed=_listed("{0} {1}", list(COLUMNS)),
    assigned=_listed("{0} = excluded.{0}", _CHANGED),
    ours=_listed("old.{0}", _CHANGED),
    theirs=_listed("excluded.{0}", _CHANGED),
)


def prepare(connection: Connection) -> None:
    """Make the table, or the columns that it lacks."""
    there = {str(row[0]) for row in connection.execute(_THERE).fetchall()}
    if not there:
        connection.execute(_TABLE)
    elif lacking := [column for column in _LATER if column not in there]:
        add = _listed("add column if not exists {0} {1}", lacking)
        connection.execute(sql.SQL("alter table public.backup_logs {}").format(add))
