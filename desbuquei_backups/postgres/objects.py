"""How many objects of each kind a database has, by the catalogs: what pg_dump should carry, whatever it wrote."""

from collections.abc import Collection, Iterable, Sequence

from desbuquei_backups.core.manifest import DatabaseObject, ObjectFacts
from desbuquei_backups.postgres.connection import Connection, explained

_FIRST_OF_USERS = 16384  # FirstNormalObjectId: what has a lower OID is in every new database

# What belongs to an extension comes with it; what is temporary, or a system schema's, is in no dump. `gone` are
# relations that the role may not read: pg_dump leaves them out, and what is theirs.
_CARRIED = """
with recursive gone(oid) as (
    select unnest(%(gone)s::oid[])
    union select d.objid from gone join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = gone.oid
       and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
), member as materialized (
    select classid, objid from pg_depend where deptype = 'e' and refclassid = 'pg_extension'::regclass
), ns as materialized (
    select oid, nspname::text as name, nspowner, nspacl from pg_namespace
     where nspname not like 'pg\\_%%' and nspname <> 'information_schema'
), own as materialized (
    select c.oid, c.relkind, c.relowner, c.relacl, c.relrowsecurity, c.relispartition, ns.name as schema
      from pg_class c join ns on ns.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.relpersistence <> 't'
       and c.oid not in (select oid from gone)
       and ('pg_class'::regclass, c.oid) not in (select classid, objid from member)
       and not (c.relkind = 'S' and exists (
           select from pg_depend d join member on member.classid = d.refclassid and member.objid = d.refobjid
            where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
              and d.deptype in ('a', 'i')))
), rel as materialized (
    select * from own where relkind <> 'S'
), routine as materialized (
    select p.oid, p.prokind, p.proowner, p.proacl, ns.name as schema from pg_proc p join ns on ns.oid = p.pronamespace
     where ('pg_proc'::regclass, p.oid) not in (select classid, objid from member)
       and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                          and d.deptype = 'i')
), made as materialized (
    select t.oid, t.typtype, t.typowner, t.typacl, ns.name as schema from pg_type t join ns on ns.oid = t.typnamespace
     where ('pg_type'::regclass, t.oid) not in (select classid, objid from member)
       and (t.typtype in ('d', 'e', 'r') or t.typtype = 'p' and not t.typisdefined
            or t.typtype = 'b' and not exists (select from pg_type e where e.typarray = t.oid)
            or exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
), index as materialized (
    select i.indexrelid, i.indrelid, rel.schema from pg_index i join rel on rel.oid = i.indrelid
     where (i.indisvalid or rel.relkind = 'p') and i.indisready
)
"""

# Kinds of which pg_dump makes an entry each, known by catalog and OID.
_ENTRIES = """
select case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
                    when 'S' then 'sequence' else 'table' end as kind, schema, 'pg_class'::regclass::oid as class, oid
  from own
union all
select 'index', schema, 'pg_class'::regclass, indexrelid from index
 where not exists (select from pg_constraint k where k.conindid = indexrelid and k.conrelid = indrelid
                      and k.contype in ('p', 'u', 'x'))
union all
select case k.contype when 'p' then 'primary key' when 'u' then 'unique constraint' else 'exclusion constraint' end,
       schema, 'pg_constraint'::regclass, k.oid
  from pg_constraint k join index on indexrelid = k.conindid and indrelid = k.conrelid
 where k.contype in ('p', 'u', 'x')
union all
select 'foreign key', schema, 'pg_constraint'::regclass, k.oid
  from pg_constraint k join rel on rel.oid = k.conrelid where k.contype = 'f' and k.conparentid = 0
union all
select 'trigger', schema, 'pg_trigger'::regclass, t.oid from pg_trigger t join rel on rel.oid = t.tgrelid
 where not t.tgisinternal and coalesce(to_jsonb(t) ->> 'tgparentid', '0') = '0'
union all
select 'rule', schema, 'pg_rewrite'::regclass, r.oid from pg_rewrite r join rel on rel.oid = r.ev_class
 where r.rulename <> '_RETURN'
union all
select 'policy', schema, 'pg_policy'::regclass, p.oid from pg_policy p join rel on rel.oid = p.polrelid
union all
select case prokind when 'a' then 'aggregate' when 'p' then 'procedure' else 'function' end, schema,
       'pg_proc'::regclass, oid
  from routine
union all
select case typtype when 'd' then 'domain' else 'type' end, schema, 'pg_type'::regclass, oid from made
union all
select kind, ns.name, class, o.oid
  from (select 'statistics' as kind, stxnamespace as within, 'pg_statistic_ext'::regclass as class, oid
          from pg_statistic_ext where stxrelid not in (select oid from gone)
        union all select 'collation', collnamespace, 'pg_collation'::regclass, oid from pg_collation
        union all select 'conversion', connamespace, 'pg_conversion'::regclass, oid from pg_conversion
        union all select 'operator', oprnamespace, 'pg_operator'::regclass, oid from pg_operator where oprcode <> 0
        union all select 'operator class', opcnamespace, 'pg_opclass'::regclass, oid from pg_opclass
        union all select 'operator family', opfnamespace, 'pg_opfamily'::regclass, oid from pg_opfamily
        union all select 'text search configuration', cfgnamespace, 'pg_ts_config'::regclass, oid from pg_ts_config
        union all select 'text search dictionary', dictnamespace, 'pg_ts_dict'::regclass, oid from pg_ts_dict
        union all select 'text search parser', prsnamespace, 'pg_ts_parser'::regclass, oid from pg_ts_parser
        union all select 'text search template', tmplnamespace, 'pg_ts_template'::regclass, oid from pg_ts_template) o
  join ns on ns.oid = o.within
 where (class::oid, o.oid) not in (select classid, objid from member)
union all
select kind, null, class, o.oid
  from (select 'schema' as kind, 'pg_namespace'::regclass as class, oid from ns where name <> 'public'
        union all select 'extension', 'pg_extension'::regclass, oid from pg_extension
        union all select 'language', 'pg_language'::regclass, oid from pg_language
        union all select 'cast', 'pg_cast'::regclass, oid from pg_cast k where not exists (
                  select from pg_depend d where d.classid = 'pg_cast'::regclass and d.objid = k.oid and d.deptype = 'i')
        union all select 'transform', 'pg_transform'::regclass, oid from pg_transform
        union all select 'access method', 'pg_am'::regclass, oid from pg_am
        union all select 'foreign-data wrapper', 'pg_foreign_data_wrapper'::regclass, oid from pg_foreign_data_wrapper
        union all select 'server', 'pg_foreign_server'::regclass, oid from pg_foreign_server
        union all select 'event trigger', 'pg_event_trigger'::regclass, oid from pg_event_trigger
        union all select 'publication', 'pg_publication'::regclass, oid from pg_publication
        union all select 'table of a publication', 'pg_publication_rel'::regclass, oid from pg_publication_rel
                   where prrelid in (select oid from rel)
        union all select 'default privileges', 'pg_default_acl'::regclass, oid from pg_default_acl) o
 where o.oid >= %(first)s and (class::oid, o.oid) not in (select classid, objid from member)
"""

# What stands inside other entries, or has entries without an OID. Of grants, who has any is counted: which privileges
# ALL means differs between versions, and a new database's `public` has other ones in each.
_INSIDE = """
select 'column' as kind, schema, count(*)::bigint as number
  from pg_attribute a join rel on rel.oid = a.attrelid where a.attnum > 0 and not a.attisdropped group by 2
union all
select 'not null', schema, count(*) from pg_attribute a join rel on rel.oid = a.attrelid
 where a.attnum > 0 and not a.attisdropped and a.attnotnull group by 2
union all
select 'default', schema, count(*) from pg_attrdef d join rel on rel.oid = d.adrelid group by 2
union all
select 'check constraint', schema, count(*)
  from pg_constraint k join rel on rel.oid = k.conrelid where k.contype = 'c' group by 2
union all
select 'check constraint of a domain', schema, count(*)
  from pg_constraint k join made on made.oid = k.contypid where k.contype = 'c' group by 2
union all
select 'partition', schema, count(*) from rel where relispartition group by 2
union all
select 'row-level security', schema, count(*) from rel where relrowsecurity group by 2
union all
select 'user mapping', null, count(*) from pg_user_mappings m
 where ('pg_foreign_server'::regclass, m.srvid) not in (select classid, objid from member)
union all
select 'owned by ' || pg_get_userbyid(owner), schema, count(*)
  from (select relowner as owner, schema from own union all select proowner, schema from routine
        union all select typowner, schema from made
        union all select nspowner, name from ns where name <> 'public' and ('pg_namespace'::regclass, oid) not in
                         (select classid, objid from member)) o group by 1, 2
union all
select 'grantee', schema, count(*)
  from (select distinct 1 as which, o.oid, 0 as part, schema, a.grantee from own o, aclexplode(relacl) a
         where a.grantee <> relowner
        union all
        select distinct 2, attrelid, attnum, schema, a.grantee
          from pg_attribute join own on own.oid = attrelid, aclexplode(attacl) a
        union all
        select distinct 3, r.oid, 0, schema, a.grantee
          from routine r, aclexplode(coalesce(proacl, acldefault('f', proowner))) a where a.grantee <> proowner
        union all
        select distinct 4, t.oid, 0, schema, a.grantee
          from made t, aclexplode(coalesce(typacl, acldefault('T', typowner))) a where a.grantee <> typowner
        union all
        select distinct 5, ns.oid, 0, ns.name, a.grantee from ns, aclexplode(nspacl) a
         where a.grantee <> nspowner and ns.name <> 'public'
           and ('pg_namespace'::regclass, ns.oid) not in (select classid, objid from member)) g
 group by 2
"""
_COUNTED = f"""
{_CARRIED}, entry as ({_ENTRIES}), inside as ({_INSIDE})
select kind, coalesce(schema, ''), number from (
    select kind, schema, count(*) as number from entry group by 1, 2 union all select * from inside) counted
 where number > 0 order by schema collate "C", kind collate "C"
"""  # noqa: S608 - no input in it
_UNWRITTEN = f"""
{_CARRIED}, entry as ({_ENTRIES})
select entry.class::bigint, entry.oid::bigint, i.type, i.identity
  from entry left join unnest(%(classes)s::oid[], %(oids)s::oid[]) as written(class, oid)
    on written.class = entry.class and written.oid = entry.oid, lateral pg_identify_object(entry.class, entry.oid, 0) i
 where written.oid is null and i.identity is not null
 order by i.type collate "C", i.identity collate "C"
"""  # noqa: S608 - no input in it


def count_objects(connection: Connection, gone: Sequence[int] = ()) -> list[ObjectFacts]:
    """The objects that a dump of this database carries, counted by kind and schema, in the session's snapshot.

    `gone` are the OIDs of relations that are left out of it, with what belongs to them.
    """
    with explained("counting the objects"):
        rows = connection.execute(_COUNTED, {"gone": list(gone), "first": _FIRST_OF_USERS}).fetchall()
    return [ObjectFacts(kind=kind, within=schema, count=number) for kind, schema, number in rows]


def unwritten(
    connection: Connection, entries: Iterable[tuple[int, int]], gone: Collection[int] = ()
) -> list[DatabaseObject]:
    """The objects that the dump has no entry of; `entries` are those it has, by catalog and OID."""
    written = list(entries)
    given = {"classes": [each for each, _ in written], "oids": [each for _, each in written]}
    with explained("looking for what pg_dump left out"):
        rows = connection.execute(_UNWRITTEN, {"gone": list(gone), "first": _FIRST_OF_USERS, **given}).fetchall()
    return [DatabaseObject(class_oid=c, oid=o, kind=kind, identity=identity) for c, o, kind, identity in rows]
