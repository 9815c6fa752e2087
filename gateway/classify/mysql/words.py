# ruff: noqa: SIM905 - lists of words read best as words
"""The words of MySQL and MariaDB by the part they play in what is read here.

https://dev.mysql.com/doc/refman/8.0/en/keywords.html, https://mariadb.com/kb/en/reserved-words/.
"""

from typing import Final

NEVER_NAMES: Final = frozenset(
    """
    accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call
    cascade case change char character check collate column condition constraint continue convert create
    cross current_date current_role current_time current_timestamp current_user cursor database databases
    day_hour day_microsecond day_minute day_second dec decimal declare default delayed delete desc describe
    deterministic distinct distinctrow div double drop dual each else elseif enclosed escaped except exists
    exit explain false fetch float float4 float8 for force foreign from fulltext grant group having
    high_priority hour_microsecond hour_minute hour_second if ignore in index infile inner inout
    insensitive insert int int1 int2 int3 int4 int8 integer intersect interval into is iterate join key
    keys kill lateral leading leave left like limit linear lines load localtime localtimestamp lock long
    longblob longtext loop low_priority match mediumblob mediumint mediumtext middleint minute_microsecond
    minute_second mod modifies natural not no_write_to_binlog null numeric on optimize option optionally or
    order out outer outfile over partition precision primary procedure purge range read reads
    real recursive references regexp release rename repeat replace require resignal restrict return
    returning revoke right rlike schema schemas second_microsecond select sensitive separator set show
    signal smallint spatial specific sql sqlexception sqlstate sqlwarning sql_big_result
    sql_calc_found_rows sql_small_result ssl starting straight_join table terminated then tinyblob tinyint
    tinytext to trailing trigger true undo union unique unlock unsigned update usage use using utc_date
    utc_time utc_timestamp values varbinary varchar varcharacter varying when where while window with
    write xor year_month zerofill
    """.split()
)
"""Reserved in every version, or the start of syntax in one: never a bare name, unless behind a dot."""

CALLED_THOUGH_RESERVED: Final = frozenset(
    """
    char convert current_date current_role current_time current_timestamp current_user database default if
    insert interval left localtime localtimestamp match mod repeat replace right schema utc_date utc_time
    utc_timestamp values
    """.split()
)
"""Reserved words that are functions where a bracket follows."""

CONSTANTS: Final = frozenset(
    """
    current_date current_role current_time current_timestamp current_user false localtime localtimestamp
    null true utc_date utc_time utc_timestamp
    """.split()
)
"""Reserved words that are operands by themselves."""

BINARY_WORDS: Final = frozenset(
    ("and", "or", "xor", "div", "mod", "like", "rlike", "regexp", "between", "escape")
)
"""Operators that are words."""

UNITS: Final = frozenset(
    """
    microsecond second minute hour day week month quarter year second_microsecond minute_microsecond
    minute_second hour_microsecond hour_second hour_minute day_microsecond day_second day_minute day_hour
    year_month sql_tsi_second sql_tsi_minute sql_tsi_hour sql_tsi_day sql_tsi_week sql_tsi_month
    sql_tsi_quarter sql_tsi_year
    """.split()
)

INTRODUCERS: Final = frozenset(
    f"_{name}"
    for name in """
    armscii8 ascii big5 binary cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 cp932 dec8 eucjpms euckr
    gb18030 gb2312 gbk geostd8 greek hebrew hp8 keybcs2 koi8r koi8u latin1 latin2 latin5 latin7 macce
    macroman sjis swe7 tis620 ucs2 ujis utf16 utf16le utf32 utf8 utf8mb3 utf8mb4
    """.split()
)
"""``_utf8mb4'x'``: the character set of a literal."""

HIDING_INTRODUCERS: Final = frozenset(("_big5", "_cp932", "_gb18030", "_gbk", "_sjis"))
"""Those in which the second byte of a letter may be a backslash or a quote: where a literal ends in them
depends on who reads, and no driver writes one."""

NO_BLANK: Final = frozenset(
    """
    adddate bit_and bit_or bit_xor cast count curdate curtime date_add date_sub extract group_concat
    json_arrayagg json_objectagg max mid min now position session_user st_collect std stddev stddev_pop
    stddev_samp subdate substr substring sum sysdate system_user trim var_pop var_samp variance
    """.split()
)
"""With a blank before the bracket these are no built-in functions (unless ``IGNORE_SPACE`` is set)."""

TYPES: Final = frozenset(
    """
    array at bigint binary bit bool boolean char character charset collate date datetime dec decimal double
    fixed float geometry geometrycollection inet4 inet6 int integer interval json linestring
    multilinestring multipoint multipolygon national nchar numeric nvarchar point polygon precision real
    signed smallint text time timestamp tinyint unicode unsigned uuid varbinary varchar year zone ascii
    byte level reverse asc desc to
    """.split()
)
"""What may stand behind AS in CAST and its like."""

COLUMN_TYPES: Final = TYPES | frozenset(
    """
    bigserial blob clob enum int1 int2 int3 int4 int8 long longblob longtext mediumblob mediumint mediumtext
    middleint number raw serial tinyblob tinytext varchar2 vector xmltype
    """.split()
)
"""The first word of a column's type."""

STORED: Final = frozenset(("procedure", "function", "trigger", "event", "package"))
"""Programs that the server keeps and runs later."""

ENGINES: Final = frozenset(
    """
    aria archive blackhole columnstore csv falcon heap innobase innodb maria memory myisam myrocks ndb
    ndbcluster rocksdb sequence tokudb default
    """.split()
)
"""Engines that keep a table's rows themselves: no other may be named."""
