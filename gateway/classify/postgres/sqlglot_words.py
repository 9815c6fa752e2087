# ruff: noqa: SIM905 - lists of words read best as words
"""Every word sqlglot's parser knows; written by tests/classify/derive_sqlglot_words.py, not by hand."""

from typing import Final

WORDS: Final = frozenset(
    """
    abort absent access action add after against aggregate algorithm alias all allowed_values alter always
    amp analyze and anti any apply array array_agg array_append array_cat array_concat array_intersect
    array_intersection array_prepend array_remove arrayagg as asc asof asymmetric async at auto
    auto_increment autoincrement autotemp avro backup before begin between bigdecimal bigint bignum
    bignumeric bigserial binary binding bit bit_and bit_or bit_xor blob blockcompression bool boolean both
    bpchar breadth btree btrim bucket buckets buffer_usage_limit by byte byte_string_escapes bytea bytes
    cache call called caller cascade case casespecific cast catalog ceil chain chained changes char
    character charindex charset check checksum chr clob clone cluster clustered coalesce collate
    collection column columns columnstore comment commit committed compensation complete compound compress
    compute concat concat_ws concurrent concurrently conflict connect connect_by_root connection
    constraint constraints contained contains continue conversion convert convert_timezone copy
    copy_options corresponding count create credential credentials cross cstring cube current
    current_catalog current_date current_schema current_time current_timestamp current_user cycle d
    dangling data data_consistency_check data_deletion database datablocksize date date_part
    date_to_date_str date_trunc datemultirange daterange datetime day dd ddd dec decfloat decimal
    decimal128 decimal256 decimal32 decimal64 declare decode default deferrable deferred define defined
    definer delete delimited delta depth desc describe deterministic directed directory disk distinct
    distkey distribute distributed diststyle div do double drop dual duplicate dynamic each else empty
    encode encoding encryption end enforced engine enum environment ephemeral error escape escaped
    estimate evalname even evolution except excl exclude excluding exclusive exec execute exists expansion
    explain extend extended external extract fail fallback false fast fetch fields file file_format
    fileformat files filestream_on fill filter filter_column final first fixed float float4 float8 floor
    fmdd fmddd fmhh12 fmhh24 fmmi fmmm fmss fn following foo for force foreign format format_name
    format_options formatted freespace from full function gap_fill generate_date_array generate_series
    generate_uuid generated geography geometry get_bit glob global grant grants greatest group grouping
    groups handler hash having heap hex hh12 hh24 hidden histogram history history_retention_period
    history_table hstore hugeint iam_role iceberg identity if ifnull ignore ilike immediate immutable in
    include including increment index indexed inet information inherits initcap initially inline inner
    inout inpath input inputformat insert instead instr int int1 int128 int16 int2 int256 int32 int4
    int4multirange int4range int64 int8 int8multirange int8range integer interpolate intersect interval
    into invisible invoker is isnull isolated isolation items iw iyyy join journal json json_agg
    json_extract json_extract_path json_extract_path_text json_extract_scalar json_keys json_object
    json_object_agg json_objectagg json_table json_value jsonb jsonb_exists jsonb_object_agg kbytes keep
    key keys kill kilobytes language last lateral layout lazy leading least left leftpad length level
    levenshtein_less_equal lifetime like limit lines list load loading local localtime localtimestamp
    locate location lock locked locking log log10 log2 logged long longblob longtext longvarchar lower
    lpad ltrim make_interval make_time make_timestamp manual map match matched matches materialized max
    maximum maxvalue measures mediumblob mediumint mediumtext merge mergeblockratio method mi min minimum
    minvalue mm mod mode modifies modulus money multiset n name namespace natural nchar nested never new
    next no no_write_to_binlog nocache nocycle noextend nokeep nomaxvalue nominvalue nonclustered none
    noorder norely normalize noscale noscan noshard not nothing notnull now nowait null nullable nulls
    number numeric nummultirange numrange nvarchar nvarchar2 nvl object of off offline offset oid oids old
    omit on one online only openjson operator optimize option options or order ordinality others out outer
    output outputformat over overflow overlaps overlay override overwrite owned owner pandas parameter
    partial partition partitioned partitioned_by passing past path pattern per percent period persisted
    pivot placing point position pragma preceding precision predicate prepare preserve primary prior
    procedure properties protection purge qualify query random range read reads real recompress recursive
    ref references referencing refresh regclass regcollation regconfig regdictionary regexp regexp_replace
    region regnamespace regoper regoperator regproc regprocedure regrole regtype reindex rely remainder
    remote rename repeatable replace replication reset respect restart restrict retention_period return
    returning returns revoke right rightpad rlike role rollback rollup row row_format rows rpad rtrim
    running s safe_cast sample savepoint scalar scale schema schemabinding scope_resolution search secure
    security seed select self semi sentinel sequence serde serial serializable session session_user set
    sets settings sha256 sha384 sha512 shallow shard share sharing short show similar simple skip
    skip_locked smallint smallserial some sort sort_array sorted sortkey source sql ss stable
    stage_copy_options stage_file_format start statement statistics step storage_integration stored str
    straight_join stream streaming strict string string_agg strpos struct structure style subpartition
    substring swap symmetric sync system system_time system_versioning t table tables tablesample
    tablespace tag tags target tblproperties temp temporary terminated text then ties time time_ns
    time_to_time_str timestamp timestamp_ltz timestamp_ntz timestampltz timestampntz timestamptz timetz
    tinyblob tinyint tinytext title to to_char to_date to_hex to_timestamp totals trailing transaction
    transform transient trigger trim true truncate try_cast try_convert ts_or_ds_to_date_str tsmultirange
    tsrange tstzmultirange tstzrange ttl type tz u uescape uhugeint uint uint128 uint256 unbounded uncache
    uncomitted union unique unknown unlogged unmatched unnest unpivot unset unsigned update upper
    uppercase us use user using uuid uuid_string vacuum valid validate value values var var_map varbinary
    varchar varchar2 variable variadic variant varying vector verbose version view view_metadata virtual
    visible volatile volume wait warehouse weight_string when where while width_bucket window with within
    without work write ww x xml xmlelement xmlnamespaces xmltable xor y yy yyy yyyy zone
    """.split()
)
"""A bare word of these may mean something to the parser that it does not mean to the server."""
