-- Statements that PostgreSQL 15 takes, one a line, production by production of its grammar; every one is read.
-- The tables are those of tests/classify/test_legal.py.
-- relations: simple_select, select_no_parens, select_with_parens
SELECT
SELECT FROM orders
SELECT WHERE false
SELECT ALL id FROM orders
SELECT ALL (id) FROM orders
SELECT DISTINCT id, note FROM orders
SELECT DISTINCT ON (customer_id) customer_id, amount FROM orders ORDER BY customer_id, amount DESC
SELECT DISTINCT ON (o.customer_id, lower(o.note)) o.id FROM orders o ORDER BY o.customer_id, lower(o.note)
(SELECT id FROM orders)
((SELECT id FROM orders)) ORDER BY 1
(SELECT id FROM orders ORDER BY id LIMIT 1) UNION ALL (SELECT id FROM customers LIMIT 1)
SELECT id FROM orders UNION SELECT id FROM customers
SELECT id FROM orders UNION DISTINCT SELECT id FROM customers
SELECT id FROM orders INTERSECT SELECT id FROM customers
SELECT id FROM orders INTERSECT ALL SELECT id FROM customers
SELECT id FROM orders EXCEPT SELECT id FROM customers
SELECT id FROM orders EXCEPT ALL (SELECT id FROM customers) ORDER BY id LIMIT 3 OFFSET 1
SELECT id FROM orders UNION SELECT id FROM customers INTERSECT SELECT id FROM tree
TABLE orders
TABLE app.orders ORDER BY id LIMIT 2
TABLE ONLY orders
(TABLE orders) LIMIT 1
VALUES (1, 'a'), (2, 'b')
VALUES (1), (2) ORDER BY 1 DESC LIMIT 1 OFFSET 0
VALUES (1, 2) UNION VALUES (3, 4)
VALUES ((SELECT max(id) FROM orders))
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v (n, t)
SELECT v.n FROM (VALUES (1), (2)) v(n) WHERE n > 1
SELECT * FROM orders, customers
SELECT orders.*, c.name FROM orders, customers c
SELECT app.orders.id FROM app.orders
SELECT legal.app.orders.id FROM legal.app.orders
-- ORDER BY, LIMIT, OFFSET, FETCH
SELECT id FROM orders ORDER BY id ASC NULLS FIRST, amount DESC NULLS LAST
SELECT id FROM orders ORDER BY amount USING >
SELECT id FROM orders ORDER BY amount USING OPERATOR(pg_catalog.<) NULLS FIRST
SELECT id AS n FROM orders ORDER BY n
SELECT id, note FROM orders ORDER BY 2, 1
SELECT id FROM orders LIMIT ALL
SELECT id FROM orders LIMIT NULL
SELECT id FROM orders LIMIT 2 OFFSET 1
SELECT id FROM orders OFFSET 1 LIMIT 2
SELECT id FROM orders OFFSET 1
SELECT id FROM orders OFFSET 1 ROW
SELECT id FROM orders OFFSET 1 ROWS
SELECT id FROM orders OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY
SELECT id FROM orders FETCH FIRST ROW ONLY
SELECT id FROM orders FETCH FIRST 1 ROW ONLY
SELECT id FROM orders FETCH FIRST 5 ROWS ONLY
SELECT id FROM orders ORDER BY amount FETCH FIRST 2 ROWS WITH TIES
SELECT id FROM orders ORDER BY amount FETCH NEXT ROW WITH TIES
SELECT id FROM orders ORDER BY amount OFFSET 1 ROWS FETCH FIRST 2 ROWS WITH TIES
SELECT id FROM orders FETCH FIRST (1 + 1) ROWS ONLY
SELECT id FROM orders FETCH FIRST 2 ROWS ONLY OFFSET 1
SELECT id FROM orders LIMIT (SELECT count(*) FROM customers)
SELECT id FROM orders LIMIT 1 + 1
SELECT id FROM orders LIMIT '3'::int
-- GROUP BY, HAVING
SELECT customer_id, count(*) FROM orders GROUP BY customer_id HAVING count(*) > 1
SELECT customer_id, sum(amount) FROM orders GROUP BY 1
SELECT customer_id, note, count(*) FROM orders GROUP BY DISTINCT ROLLUP (customer_id, note), CUBE (note)
SELECT customer_id, count(*) FROM orders GROUP BY ALL customer_id
SELECT customer_id, count(*) FROM orders GROUP BY ALL ROLLUP (customer_id)
SELECT customer_id, count(*) FROM orders GROUP BY DISTINCT customer_id
SELECT count(*) FROM orders GROUP BY ()
SELECT customer_id, count(*) FROM orders GROUP BY (), customer_id
SELECT customer_id, note, grouping(customer_id, note), count(*) FROM orders GROUP BY GROUPING SETS ((customer_id, note), (customer_id), ())
SELECT customer_id, note, count(*) FROM orders GROUP BY ROLLUP (customer_id, note)
SELECT customer_id, note, count(*) FROM orders GROUP BY CUBE (customer_id, (note, amount))
SELECT count(*) FROM orders GROUP BY GROUPING SETS (ROLLUP (customer_id, note), CUBE (amount), GROUPING SETS ((id), ()))
SELECT count(*) FROM orders GROUP BY (customer_id, note)
SELECT 1 FROM orders HAVING count(*) > 0
SELECT lower(note) AS n, count(*) FROM orders GROUP BY n, lower(note)
-- locking
SELECT id FROM orders FOR UPDATE
SELECT id FROM orders FOR NO KEY UPDATE
SELECT id FROM orders o FOR SHARE OF o NOWAIT
SELECT o.id FROM orders o, customers c FOR KEY SHARE OF c SKIP LOCKED
SELECT o.id FROM orders o, customers c FOR UPDATE OF o FOR SHARE OF c
SELECT id FROM orders FOR UPDATE LIMIT 1
SELECT id FROM orders LIMIT 1 FOR UPDATE
SELECT id FROM orders FOR READ ONLY
-- WITH
WITH x AS (SELECT id FROM orders) SELECT * FROM x
WITH x (a, b) AS (SELECT id, note FROM orders), y AS (SELECT a FROM x) SELECT * FROM y, x
WITH x AS MATERIALIZED (SELECT id FROM orders) SELECT * FROM x
WITH x AS NOT MATERIALIZED (SELECT id FROM orders) SELECT * FROM x
WITH x AS (VALUES (1), (2)) TABLE x
WITH x AS (TABLE orders) SELECT count(*) FROM x
SELECT * FROM (WITH x AS (SELECT id FROM orders) SELECT * FROM x) AS s
SELECT (WITH x AS (SELECT id FROM orders) SELECT max(id) FROM x)
WITH RECURSIVE r (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r
WITH RECURSIVE r AS (SELECT id, parent FROM tree WHERE parent IS NULL UNION SELECT t.id, t.parent FROM tree t JOIN r ON t.parent = r.id) SELECT * FROM r
WITH RECURSIVE r AS (SELECT id, parent FROM tree UNION ALL SELECT t.id, t.parent FROM tree t, r WHERE t.parent = r.id) SEARCH DEPTH FIRST BY id SET ord SELECT id FROM r ORDER BY ord
WITH RECURSIVE r AS (SELECT id, parent FROM tree UNION ALL SELECT t.id, t.parent FROM tree t, r WHERE t.parent = r.id) SEARCH BREADTH FIRST BY id, parent SET ord SELECT * FROM r ORDER BY ord
WITH RECURSIVE r AS (SELECT id, parent FROM tree UNION ALL SELECT t.id, t.parent FROM tree t, r WHERE t.parent = r.id) CYCLE id SET is_cycle USING path SELECT id, is_cycle, path FROM r
WITH RECURSIVE r AS (SELECT id, parent FROM tree UNION ALL SELECT t.id, t.parent FROM tree t, r WHERE t.parent = r.id) CYCLE id, parent SET is_cycle TO 'Y' DEFAULT 'N' USING path SELECT id FROM r WHERE is_cycle = 'N'
WITH RECURSIVE r AS (SELECT id, parent FROM tree UNION ALL SELECT t.id, t.parent FROM tree t, r WHERE t.parent = r.id) CYCLE id SET is_cycle TO true DEFAULT false USING path SELECT * FROM r
WITH RECURSIVE r (a, b) AS (SELECT id, parent FROM tree UNION ALL SELECT t.id, t.parent FROM tree t, r WHERE t.parent = r.a) SEARCH DEPTH FIRST BY a SET ord CYCLE a SET looped USING trail SELECT a, b, ord, looped, trail FROM r
WITH RECURSIVE r AS (SELECT id, parent FROM tree UNION ALL SELECT t.id, t.parent FROM tree t, r WHERE t.parent = r.id) SEARCH DEPTH FIRST BY id SET ord, s AS (SELECT id FROM r) SELECT * FROM s
WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING *) SELECT * FROM d
WITH i AS (INSERT INTO tree (id) VALUES (77) RETURNING id), u AS (UPDATE tree SET name = 'x' RETURNING id) SELECT i.id, u.id FROM i, u
-- INTO
SELECT id INTO made FROM orders
SELECT id INTO TABLE made FROM orders
SELECT id INTO TEMP made FROM orders
SELECT id INTO TEMPORARY TABLE made FROM orders
SELECT id INTO LOCAL TEMP TABLE made FROM orders
SELECT id INTO UNLOGGED TABLE app.made FROM orders
-- FROM: relation_expr, alias_clause, tablesample
SELECT * FROM ONLY orders
SELECT * FROM ONLY (orders)
SELECT o.id FROM ONLY (app.orders) AS o
SELECT * FROM orders *
SELECT o.id FROM orders * o
SELECT o.a FROM orders AS o (a, b)
SELECT a FROM orders o (a, b, c, d)
SELECT * FROM orders TABLESAMPLE SYSTEM (10)
SELECT * FROM orders o TABLESAMPLE BERNOULLI (5.5) REPEATABLE (42)
SELECT * FROM orders AS o TABLESAMPLE system (1 + 1) REPEATABLE (0.5)
SELECT * FROM ONLY orders TABLESAMPLE SYSTEM (50)
SELECT * FROM orders TABLESAMPLE SYSTEM (10), customers
-- joins
SELECT * FROM orders JOIN customers ON true
SELECT * FROM orders INNER JOIN customers USING (id)
SELECT * FROM orders LEFT JOIN customers ON orders.customer_id = customers.id
SELECT * FROM orders LEFT OUTER JOIN customers USING (id)
SELECT * FROM orders RIGHT JOIN customers USING (id)
SELECT * FROM orders FULL OUTER JOIN customers USING (id)
SELECT * FROM orders CROSS JOIN customers
SELECT * FROM orders NATURAL JOIN customers
SELECT * FROM orders NATURAL LEFT JOIN customers
SELECT * FROM orders NATURAL FULL OUTER JOIN customers
SELECT j.id FROM orders JOIN customers USING (id) AS j
SELECT j.id, o.note FROM orders o LEFT JOIN customers c USING (id) AS j
SELECT j.* FROM orders JOIN customers USING (id) AS j WHERE j.id > 0
SELECT k.id FROM (orders JOIN customers USING (id) AS j) JOIN tree USING (id) AS k
SELECT * FROM (orders JOIN customers USING (id))
SELECT j.note FROM (orders o JOIN customers c ON c.id = o.id) AS j (a, b, c, note)
SELECT * FROM (orders o CROSS JOIN customers c) JOIN tree t ON t.id = o.id
SELECT * FROM orders o JOIN (customers c JOIN tree t ON t.id = c.id) ON c.id = o.id
SELECT * FROM orders o JOIN customers c JOIN tree t ON t.id = c.id ON c.id = o.id
SELECT * FROM orders o, LATERAL (SELECT c.name FROM customers c WHERE c.id = o.customer_id) AS l
SELECT * FROM orders o LEFT JOIN LATERAL (SELECT c.name FROM customers c WHERE c.id = o.customer_id LIMIT 1) l ON true
SELECT * FROM orders o CROSS JOIN LATERAL generate_series(1, o.id) AS g (n)
SELECT * FROM docs d, LATERAL unnest(d.tags) WITH ORDINALITY AS u (tag, n)
SELECT * FROM docs, unnest(tags) AS tag
SELECT * FROM docs d, LATERAL jsonb_each(d.data) AS e
SELECT e.key FROM docs d, jsonb_each(d.data) AS e (key, value)
SELECT * FROM docs d, LATERAL ROWS FROM (unnest(d.tags), generate_series(1, d.id)) AS u (tag, n)
-- func_table
SELECT * FROM generate_series(1, 3)
SELECT * FROM generate_series(1, 3) AS g
SELECT g FROM generate_series(1, 3) g
SELECT n FROM generate_series(1, 3) WITH ORDINALITY AS g (n, o)
SELECT * FROM ROWS FROM (generate_series(1, 3), generate_series(1, 2)) WITH ORDINALITY
SELECT a, b, o FROM ROWS FROM (generate_series(1, 3), generate_series(1, 2)) WITH ORDINALITY AS t (a, b, o)
SELECT * FROM ROWS FROM (json_to_recordset('[{"a": 1}]') AS (a int, b text), generate_series(1, 2)) AS t (x, y, z)
SELECT * FROM ROWS FROM (jsonb_to_record('{"a": 1}') AS (a int))
SELECT * FROM json_to_record('{"a": 1}') AS x (a int, b text)
SELECT * FROM json_to_recordset('[{"a": 1}]') AS (a int, b text)
SELECT * FROM json_to_recordset('[{"a": 1}]') x (a int, b numeric(10, 2), c text COLLATE "C", d int[])
SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b']) AS u (n, t)
SELECT * FROM current_date
SELECT * FROM current_date AS d
SELECT * FROM coalesce(1, 2) AS c
SELECT * FROM jsonb_path_query('{"a": [1, 2]}', '$.a[*]') AS p
SELECT * FROM string_to_table('a,b', ',') s
SELECT * FROM regexp_matches('foobar', 'o+', 'g') m
SELECT * FROM pg_catalog.generate_series(1, 2)
-- xmltable
SELECT x.n FROM docs d, XMLTABLE('/r/i' PASSING d.body COLUMNS n int PATH '@n' NOT NULL, t text PATH '.' DEFAULT 'none') AS x
SELECT x.* FROM docs, LATERAL XMLTABLE('/r/i' PASSING BY REF body COLUMNS o FOR ORDINALITY, n int PATH '@n') AS x
SELECT * FROM docs LEFT JOIN XMLTABLE('//i' PASSING BY VALUE docs.body BY VALUE COLUMNS n int) ON true
SELECT * FROM XMLTABLE(XMLNAMESPACES('http://e.org' AS e), '/e:r' PASSING '<r/>' COLUMNS n text PATH 'e:n', m xml) AS x (a, b)
-- types
SELECT CAST(id AS text) FROM orders
SELECT CAST(note AS varchar(10)) FROM orders
SELECT CAST(amount AS numeric(10, 2)) FROM orders
SELECT amount::numeric(10,2)::text FROM orders
SELECT '{1,2}'::int[], '{{1,2}}'::int[][], '{1}'::int ARRAY, '{1}'::int ARRAY[3], '{1}'::int[3]
SELECT '1'::double precision, '1'::float(24), '1'::real, '1'::decimal, '1'::dec(5)
SELECT 'a'::character varying(3), 'a'::char varying, 'a'::national character varying(4), 'a'::nchar(2), 'a'::varchar, 'a'::char(3)
SELECT '1'::bit(4), '1'::bit varying(5), '1'::bit varying
SELECT '12:00'::time(3) with time zone, now()::timestamp(0) without time zone, now()::timestamptz(3)
SELECT '1 day'::interval day, '1'::interval second(3), '1-2'::interval year to month, '1'::interval(3), '1'::interval day to second(2)
SELECT 'app.orders'::pg_catalog.text
SELECT 'a'::"char", 'b'::"text"
-- constants
SELECT 1, 1.5, .5, 5., 1e10, 1.5E-3
SELECT 'a', 'it''s', E'a\nb', N'x', B'101', X'1F'
SELECT U&'d\0061t\+000061', U&'d!0061' UESCAPE '!'
SELECT U&"\0069d" FROM orders
SELECT U&"!0069d" UESCAPE '!' FROM orders
SELECT $$a$$, $tag$it's $$ x$tag$
SELECT 'a' /* c */ AS x -- d
SELECT DATE '2020-01-01', TIME '12:00', TIMESTAMP '2020-01-01 00:00', TIMESTAMP WITH TIME ZONE '2020-01-01 00:00+00', TIME WITHOUT TIME ZONE '12:00'
SELECT TIMESTAMP (3) '2020-01-01', TIME (0) WITH TIME ZONE '12:00+00'
SELECT INTERVAL '1' YEAR, INTERVAL '1-2' YEAR TO MONTH, INTERVAL '1' DAY, INTERVAL '1 2' DAY TO HOUR, INTERVAL '1 2:3' DAY TO MINUTE, INTERVAL '1 2:3:4' DAY TO SECOND(2), INTERVAL '2:3' HOUR TO MINUTE, INTERVAL '2:3:4' HOUR TO SECOND, INTERVAL '2:3' MINUTE TO SECOND(1), INTERVAL '5' SECOND(3)
SELECT INTERVAL (3) '1.2345 seconds'
SELECT INTERVAL '1 day' + INTERVAL '2' HOUR
SELECT json '{"a": 1}', point '(1,2)', float8 '1.5', int4range '[1,2)'
SELECT pg_catalog.int4 '1'
SELECT true, false, null, TRUE AND NULL
-- a_expr
SELECT + id, - id, - - id, +(- id) FROM orders
SELECT id + 1, id - 1, id * 2, id / 2, id % 2, id ^ 2 FROM orders
SELECT id < 1, id > 1, id = 1, id <= 1, id >= 1, id <> 1, id != 1 FROM orders
SELECT |/ 4.0, ||/ 8.0, @ -5, ~ 5, 5 & 3, 5 | 3, 5 # 3, 1 << 2, 8 >> 1
SELECT 1 OPERATOR(pg_catalog.+) 2, OPERATOR(pg_catalog.-) 3, OPERATOR(pg_catalog.@) -3
SELECT id OPERATOR(pg_catalog.=) ANY (ARRAY[1, 2]) FROM orders
SELECT id OPERATOR(pg_catalog.=) ALL (SELECT id FROM customers) FROM orders
SELECT id OPERATOR(=) 1 FROM orders
SELECT NOT true, NOT (id = 1) AND (amount > 2 OR note IS NULL) FROM orders
SELECT note LIKE 'a%', note NOT LIKE 'a%', note LIKE 'a!%' ESCAPE '!', note NOT LIKE 'a' ESCAPE '' FROM orders
SELECT note ILIKE 'a%', note NOT ILIKE 'a%' ESCAPE '!', note SIMILAR TO 'a|b', note NOT SIMILAR TO 'a' ESCAPE '!' FROM orders
SELECT note ~ 'a', note !~ 'a', note ~* 'a', note !~* 'a', note ~~ 'a', note !~~ 'a', note ~~* 'a', note ^@ 'a' FROM orders
SELECT note LIKE ANY (ARRAY['a', 'b']), note NOT LIKE ALL (ARRAY['a']), note ILIKE ANY ('{a}'), note NOT ILIKE SOME ('{a}') FROM orders
SELECT note IS NULL, note IS NOT NULL, note ISNULL, note NOTNULL FROM orders
SELECT (id = 1) IS TRUE, (id = 1) IS NOT TRUE, (id = 1) IS FALSE, (id = 1) IS NOT FALSE, (id = 1) IS UNKNOWN, (id = 1) IS NOT UNKNOWN FROM orders
SELECT id IS DISTINCT FROM 1, id IS NOT DISTINCT FROM customer_id FROM orders
SELECT id BETWEEN 1 AND 2, id NOT BETWEEN 1 AND 2, id BETWEEN SYMMETRIC 2 AND 1, id NOT BETWEEN SYMMETRIC 2 AND 1, id BETWEEN ASYMMETRIC 1 AND 2 FROM orders
SELECT id IN (1, 2), id NOT IN (1, 2), id IN (SELECT id FROM customers), id NOT IN (SELECT id FROM customers) FROM orders
SELECT (id, note) IN ((1, 'a'), (2, 'b')), (id, note) = (1, 'a'), (id, amount) < (1, 2) FROM orders
SELECT (id, customer_id) IN (SELECT id, id FROM customers) FROM orders
SELECT ROW(id, note) = ROW(1, 'a'), ROW(id) IS NULL, ROW() FROM orders
SELECT (id, note) IS DISTINCT FROM (1, 'a') FROM orders
SELECT id = ANY (ARRAY[1, 2]), id = SOME (ARRAY[1]), id <> ALL ('{1,2}'), id < ANY (SELECT id FROM customers), id >= ALL (SELECT id FROM customers) FROM orders
SELECT (DATE '2020-01-01', DATE '2020-02-01') OVERLAPS (DATE '2020-01-15', INTERVAL '1 month')
SELECT at AT TIME ZONE 'UTC', at AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin', at AT TIME ZONE INTERVAL '1 hour' FROM docs
SELECT note COLLATE "C", note COLLATE pg_catalog."C" < 'a' FROM orders ORDER BY note COLLATE "C" DESC
SELECT (note || 'x') COLLATE "POSIX" FROM orders WHERE note COLLATE "C" > 'a' COLLATE "C"
SELECT body IS DOCUMENT, body IS NOT DOCUMENT FROM docs
SELECT note IS NORMALIZED, note IS NFC NORMALIZED, note IS NOT NORMALIZED, note IS NOT NFKD NORMALIZED FROM orders
SELECT data -> 'a', data ->> 'a', data #> '{a,b}', data #>> '{a}', data @> '{}', data <@ '{}', data ? 'a', data ?| ARRAY['a'], data ?& ARRAY['a'], data || '{}', data - 'a', data #- '{a}', data @? '$.a', data @@ '$.a == 1' FROM docs
SELECT data['a'], data['a']['b'] FROM docs
SELECT tags && ARRAY['a'], tags @> ARRAY['a'], tags || 'x'::text, 'a' = ANY (tags) FROM docs
SELECT during && int4range(1, 2), during @> 1, during -|- int4range(1, 2), during << int4range(3, 4), during &< int4range(3, 4), during * int4range(1, 2) FROM docs
SELECT to_tsvector('english', note) @@ to_tsquery('a & b') FROM orders
SELECT name, ts_rank(to_tsvector(name), plainto_tsquery('a')) FROM customers
-- c_expr
SELECT (SELECT id FROM customers LIMIT 1), (SELECT ARRAY[1, 2])[1], EXISTS (SELECT FROM customers), NOT EXISTS (SELECT 1)
SELECT ARRAY(SELECT id FROM orders ORDER BY id), ARRAY[1, 2, 3], ARRAY[[1, 2], [3, 4]], ARRAY[]::int[]
SELECT ARRAY[ARRAY[1, 2], ARRAY[3, 4]], ARRAY[ROW(1, 2)], ARRAY[id, customer_id] FROM orders
SELECT tags[1], tags[1:2], tags[:2], tags[1:], tags[:], (tags)[1], (ARRAY[1,2,3])[2:3] FROM docs
SELECT grid[1][2], grid[1:2][1:1], grid[:2][2:], grid[1:1][2], grid[:][1:2] FROM docs
SELECT (d).id, (d).tags[1], (d.*) IS NULL FROM docs d
SELECT CASE WHEN id = 1 THEN 'a' WHEN id = 2 THEN 'b' ELSE 'c' END FROM orders
SELECT CASE id WHEN 1 THEN 'a' WHEN 2 THEN NULL END FROM orders
SELECT CASE WHEN true THEN CASE id WHEN 1 THEN 2 END END AS x FROM orders
SELECT o FROM orders o
SELECT o.*, o FROM orders o
SELECT count(o.*), count(DISTINCT o) FROM orders o
SELECT id one, id AS two, id "three", id AS "Four", id AS select, id AS "from" FROM orders
SELECT id value, note text, amount name FROM orders
SELECT 1 AS a, 2 b, 3
SELECT id FROM orders WHERE id = $1
SELECT $1::int[] , ($1::int[])[1]
-- func_application
SELECT count(*), count(id), count(DISTINCT id), count(ALL id), sum(amount) FROM orders
SELECT string_agg(note, ',' ORDER BY id DESC), array_agg(DISTINCT note ORDER BY note), json_agg(o ORDER BY o.id) FROM orders o
SELECT make_interval(days => 1, hours := 2), make_interval(1, 2, days => 3)
SELECT pg_catalog.lower(note), pg_catalog."lower"(note) FROM orders
SELECT now(), current_date, current_time, current_time(3), current_timestamp, current_timestamp(0), localtime, localtime(1), localtimestamp, localtimestamp(2)
SELECT current_user, session_user, user, current_role, current_catalog, current_schema, current_schema()
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount), percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY amount DESC), mode() WITHIN GROUP (ORDER BY note) FROM orders
SELECT rank(1) WITHIN GROUP (ORDER BY id), percent_rank(1, 'a') WITHIN GROUP (ORDER BY id, note) FILTER (WHERE id > 0) FROM orders
SELECT count(*) FILTER (WHERE id > 1), sum(amount) FILTER (WHERE note IS NULL) FROM orders
SELECT row_number() OVER (), rank() OVER (ORDER BY amount), sum(amount) OVER (PARTITION BY customer_id ORDER BY id) FROM orders
SELECT sum(amount) FILTER (WHERE id > 1) OVER (PARTITION BY customer_id) FROM orders
SELECT sum(amount) OVER w, avg(amount) OVER (w ORDER BY id), count(*) OVER (w) FROM orders WINDOW w AS (PARTITION BY customer_id)
SELECT sum(amount) OVER w2 FROM orders WINDOW w AS (PARTITION BY customer_id), w2 AS (w ORDER BY id ROWS 1 PRECEDING)
SELECT sum(amount) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM orders
SELECT sum(amount) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW) FROM orders
SELECT sum(amount) OVER (ORDER BY id RANGE BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE GROUP) FROM orders
SELECT sum(amount) OVER (ORDER BY id GROUPS BETWEEN 1 PRECEDING AND 1 + 1 FOLLOWING EXCLUDE TIES) FROM orders
SELECT sum(amount) OVER (ORDER BY id GROUPS UNBOUNDED PRECEDING EXCLUDE NO OTHERS) FROM orders
SELECT first_value(id) OVER (ORDER BY day RANGE BETWEEN INTERVAL '1 day' PRECEDING AND INTERVAL '1' DAY FOLLOWING) FROM docs
SELECT sum(amount) OVER (ROWS CURRENT ROW), sum(amount) OVER (ORDER BY id RANGE UNBOUNDED PRECEDING) FROM orders
SELECT lag(amount, 1, 0) OVER (ORDER BY id), ntile(4) OVER (ORDER BY id), nth_value(id, 2) OVER (ORDER BY id) FROM orders
-- func_expr_common_subexpr
SELECT COLLATION FOR (note), COLLATION FOR ('a') FROM orders
SELECT EXTRACT(year FROM at), EXTRACT('month' FROM at), EXTRACT(epoch FROM now() - at), EXTRACT(DAY FROM day), EXTRACT(timezone_hour FROM at), EXTRACT("dow" FROM at) FROM docs
SELECT date_part('year', at), date_trunc('day', at), date_trunc('day', at, 'UTC') FROM docs
SELECT NORMALIZE(note), NORMALIZE(note, NFC), NORMALIZE(note, NFKD) FROM orders
SELECT OVERLAY(note PLACING 'x' FROM 1 FOR 2), OVERLAY(note PLACING 'x' FROM 2), overlay(note, 'x', 1, 2) FROM orders
SELECT POSITION('a' IN note), position('a' || 'b' IN note || 'c') FROM orders
SELECT SUBSTRING(note FROM 1 FOR 2), SUBSTRING(note FROM 2), SUBSTRING(note FOR 2), SUBSTRING(note FOR 2 FROM 1), SUBSTRING(note FROM '[a-z]+'), SUBSTRING(note SIMILAR 'a' ESCAPE '#'), substring(note, 1, 2), substring(note, 'a') FROM orders
SELECT SUBSTRING(note FROM 'a' FOR '#') FROM orders
SELECT TRIM(note), TRIM(BOTH 'x' FROM note), TRIM(LEADING FROM note), TRIM(TRAILING 'x' FROM note), TRIM('x' FROM note), TRIM(FROM note), TRIM(note, 'x'), TRIM(BOTH note), TRIM(BOTH FROM note, 'x') FROM orders
SELECT NULLIF(id, 1), COALESCE(note, 'x', 'y'), GREATEST(id, 1), LEAST(id, 1, 2) FROM orders
SELECT xmlconcat('<a/>', '<b/>'), XMLCONCAT(body) FROM docs
SELECT XMLELEMENT(NAME foo)
SELECT XMLELEMENT(NAME foo, XMLATTRIBUTES(id AS x, note), note, 'text') FROM orders
SELECT XMLELEMENT(NAME "a:b", XMLELEMENT(NAME c, id), XMLCOMMENT('x')) FROM orders
SELECT XMLFOREST(id, note AS n, lower(note) AS "Lower") FROM orders
SELECT XMLPI(NAME php), XMLPI(NAME php, 'echo' || note) FROM orders
SELECT XMLROOT(body, VERSION '1.0', STANDALONE YES), XMLROOT(body, VERSION NO VALUE), XMLROOT(body, VERSION NO VALUE, STANDALONE NO VALUE), XMLROOT(body, VERSION '1.1', STANDALONE NO) FROM docs
SELECT XMLAGG(XMLELEMENT(NAME i, id) ORDER BY id) FROM orders
SELECT XMLPARSE(DOCUMENT '<a/>'), XMLPARSE(CONTENT note), XMLPARSE(DOCUMENT '<a> </a>' PRESERVE WHITESPACE), XMLPARSE(CONTENT 'a' STRIP WHITESPACE) FROM orders
SELECT XMLSERIALIZE(CONTENT body AS text), XMLSERIALIZE(DOCUMENT body AS varchar(100)) FROM docs
SELECT XMLEXISTS('//a' PASSING body), XMLEXISTS('//a' PASSING BY REF body), XMLEXISTS('//a' PASSING BY VALUE body BY VALUE), XMLEXISTS('//a' PASSING body BY REF) FROM docs
SELECT xpath('//a', body), xpath_exists('//a', body), xmlcomment('a') FROM docs
SELECT json_object('{a,1}'), json_build_object('a', id), row_to_json(o), to_jsonb(o), json_object_agg(id, note) OVER () FROM orders o
SELECT jsonb_path_query_first(data, '$.a', '{}', true), jsonb_set(data, '{a}', '1'), jsonb_pretty(data) FROM docs
-- words that are names too
SELECT type, value, name, level FROM words
SELECT w.key, w.data, w.first, w.rows, w.filter FROM words w
SELECT key, first, rows, filter, partition, range, groups FROM words ORDER BY key
SELECT words.matched, words.over, words.within, words.share, words.skip, words.zone FROM words
SELECT depth, breadth, search, cycle, path, columns, passing, ref, document, content FROM words
SELECT search FROM words search
SELECT left(note, 2), right(note, 2) FROM orders
SELECT * FROM words cycle JOIN words depth ON cycle.search = depth.search
SELECT xmlparse, standalone FROM (SELECT 1 AS xmlparse, 2 AS standalone) x
-- views, catalogue, system columns
SELECT ctid, xmin, tableoid FROM orders
SELECT relname FROM pg_class WHERE relkind = 'r'
SELECT table_name FROM information_schema.tables
-- INSERT
INSERT INTO tree VALUES (100, 1, 'x')
INSERT INTO tree (id, name) VALUES (100, 'x'), (101, DEFAULT)
INSERT INTO app.tree AS t (id) VALUES (100) RETURNING t.id
INSERT INTO tree DEFAULT VALUES
INSERT INTO tree TABLE other_tree
INSERT INTO tree SELECT id + 1000, customer_id, note FROM orders
INSERT INTO tree (SELECT 200, 1, 'x')
INSERT INTO tree (id) (VALUES (200), (201))
INSERT INTO tree (id) SELECT 300 UNION SELECT 301
WITH x AS (SELECT 400 AS id) INSERT INTO tree (id) SELECT id FROM x RETURNING *
INSERT INTO tree WITH x AS (SELECT 400, 1, 'x') SELECT * FROM x
INSERT INTO numbered OVERRIDING SYSTEM VALUE VALUES (5, 'x')
INSERT INTO numbered (n, t) OVERRIDING USER VALUE SELECT 6, 'y'
INSERT INTO tree (id) VALUES (1) ON CONFLICT DO NOTHING
INSERT INTO tree (id) VALUES (1) ON CONFLICT (id) DO NOTHING RETURNING id
INSERT INTO tree (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE tree.name IS NULL RETURNING *
INSERT INTO tree AS t (id, name) VALUES (1, 'x') ON CONFLICT ON CONSTRAINT tree_pkey DO UPDATE SET (name, parent) = (excluded.name, 3), id = DEFAULT
INSERT INTO tree (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET (name) = ROW(excluded.name)
INSERT INTO tree (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET (name, parent) = (SELECT note, id FROM orders LIMIT 1)
INSERT INTO tree (id, name) VALUES (1, 'x') ON CONFLICT ((id + 1)) DO NOTHING
INSERT INTO tree (id, name) VALUES (1, 'x') RETURNING id AS made, upper(name), (SELECT 1)
INSERT INTO tree (id) VALUES ((SELECT max(id) + 1 FROM tree))
-- UPDATE
UPDATE tree SET name = 'x'
UPDATE ONLY tree SET name = 'x' WHERE id = 1
UPDATE ONLY (tree) SET name = 'x'
UPDATE tree AS t SET name = t.name || 'x' WHERE t.id = 1 RETURNING t.*
UPDATE tree t SET name = DEFAULT, parent = 5
UPDATE tree SET (name, parent) = ('a', 1)
UPDATE tree SET (name, parent) = ROW('a', DEFAULT)
UPDATE tree SET (name, parent) = (SELECT note, id FROM orders WHERE orders.id = tree.id)
UPDATE tree SET (name) = (SELECT 'x')
UPDATE docs SET tags[1] = 'a', tags[2:3] = '{b,c}', data['a'] = '1'
UPDATE typed SET pair.a = 1, pairs[1].b = 2
UPDATE tree SET name = o.note FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = tree.id
UPDATE tree SET name = x.n FROM (VALUES (1, 'a')) AS x (i, n) WHERE x.i = tree.id RETURNING x.n
WITH x AS (SELECT 1 AS id) UPDATE tree SET name = 'x' FROM x WHERE x.id = tree.id
UPDATE tree SET name = 'x' WHERE CURRENT OF cur
UPDATE tree SET name = 'x' FROM orders, LATERAL (SELECT 1 WHERE orders.id = 1) l WHERE tree.id = orders.id
-- DELETE
DELETE FROM tree
DELETE FROM ONLY tree WHERE id = 1
DELETE FROM ONLY (tree)
DELETE FROM tree * WHERE id = 1
DELETE FROM tree AS t WHERE t.id = 1 RETURNING *
DELETE FROM tree t USING orders o, customers c WHERE o.id = t.id AND c.id = o.customer_id RETURNING t.id, o.note
DELETE FROM tree USING orders JOIN customers USING (id) WHERE orders.note = tree.name
WITH x AS (SELECT 1 AS id) DELETE FROM tree USING x WHERE x.id = tree.id
DELETE FROM tree WHERE CURRENT OF cur
DELETE FROM tree WHERE (id, name) IN (SELECT id, note FROM orders)
-- MERGE
MERGE INTO tree t USING orders o ON t.id = o.id WHEN MATCHED THEN UPDATE SET name = o.note
MERGE INTO tree USING orders ON tree.id = orders.id WHEN MATCHED AND orders.amount > 5 THEN DELETE WHEN MATCHED THEN DO NOTHING
MERGE INTO ONLY tree AS t USING (SELECT * FROM orders) AS o ON t.id = o.id WHEN NOT MATCHED THEN INSERT (id, name) VALUES (o.id, o.note)
MERGE INTO tree t USING orders o ON t.id = o.id WHEN NOT MATCHED THEN INSERT VALUES (o.id, 1, o.note)
MERGE INTO tree t USING orders o ON t.id = o.id WHEN NOT MATCHED AND o.id > 5 THEN INSERT DEFAULT VALUES WHEN NOT MATCHED THEN DO NOTHING
MERGE INTO numbered t USING orders o ON t.n = o.id WHEN NOT MATCHED THEN INSERT (n, t) OVERRIDING SYSTEM VALUE VALUES (o.id, o.note)
MERGE INTO numbered t USING orders o ON t.n = o.id WHEN NOT MATCHED THEN INSERT OVERRIDING USER VALUE VALUES (o.id, o.note)
MERGE INTO tree t USING ONLY orders o ON t.id = o.id WHEN MATCHED THEN UPDATE SET (name, parent) = (o.note, 1), id = DEFAULT
MERGE INTO tree t USING (VALUES (1, 'a')) AS v (i, n) ON t.id = v.i WHEN MATCHED THEN UPDATE SET name = v.n WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.i, v.n)
MERGE INTO tree t USING (orders o JOIN customers c ON c.id = o.customer_id) ON t.id = o.id WHEN MATCHED THEN DELETE
WITH x AS (SELECT 1 AS id) MERGE INTO tree t USING x ON x.id = t.id WHEN MATCHED THEN UPDATE SET (name, parent) = (SELECT 'a', 1)
MERGE INTO tree t USING generate_series(1, 2) AS g ON t.id = g WHEN MATCHED THEN DELETE
-- CREATE TABLE AS, views
CREATE TABLE made AS SELECT id FROM orders
CREATE TABLE made AS TABLE orders WITH NO DATA
CREATE TABLE made (a, b) AS SELECT id, note FROM orders WITH DATA
CREATE TABLE IF NOT EXISTS made AS VALUES (1), (2)
CREATE TEMP TABLE made ON COMMIT DROP AS SELECT 1 AS x
CREATE TEMPORARY TABLE made AS (SELECT 1 AS x)
CREATE UNLOGGED TABLE made WITH (fillfactor = 70) AS SELECT id FROM orders
CREATE TABLE made USING heap AS SELECT id FROM orders
CREATE TABLE made TABLESPACE pg_default AS SELECT id FROM orders
CREATE TABLE made AS WITH x AS (SELECT 1 AS a) SELECT * FROM x
CREATE VIEW made AS SELECT id FROM orders
CREATE OR REPLACE TEMP VIEW made (a) AS SELECT id FROM orders WITH CASCADED CHECK OPTION
CREATE VIEW made WITH (security_barrier) AS SELECT id FROM orders
CREATE RECURSIVE VIEW made (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM made WHERE n < 5
CREATE MATERIALIZED VIEW made AS SELECT id FROM orders WITH NO DATA
-- wrapped
EXPLAIN SELECT id FROM orders
EXPLAIN ANALYZE VERBOSE SELECT id FROM orders
EXPLAIN (ANALYZE, COSTS OFF, FORMAT json) SELECT id FROM orders
EXPLAIN (ANALYZE false) (SELECT id FROM orders)
EXPLAIN CREATE TABLE made AS SELECT id FROM orders
PREPARE p (int) AS SELECT id FROM orders WHERE id = $1
PREPARE p AS INSERT INTO tree (id) VALUES ($1)
DECLARE c CURSOR FOR SELECT id FROM orders
DECLARE c INSENSITIVE SCROLL CURSOR WITH HOLD FOR SELECT id FROM orders
DECLARE c NO SCROLL CURSOR WITHOUT HOLD FOR SELECT id FROM orders FOR UPDATE
COPY orders TO STDOUT
COPY (SELECT id FROM orders) TO STDOUT (FORMAT csv, HEADER)
COPY orders (id, note) TO STDOUT WITH CSV
-- mended
SELECT INTERVAL '1' DAY, sum(amount) OVER (ORDER BY id ROWS 1 PRECEDING), sum(id) OVER (ORDER BY id GROUPS 2 PRECEDING EXCLUDE TIES) FROM orders
SELECT sum(id) OVER (ORDER BY day RANGE INTERVAL '1 day' PRECEDING) FROM docs
SELECT * FROM XMLTABLE('/r/i' PASSING xml '<r><i>1</i></r>' COLUMNS n int PATH '.')
SELECT * FROM XMLTABLE(('/r/' || 'i') PASSING XMLPARSE(DOCUMENT '<r/>') COLUMNS a text PATH 'a' || 'b' NULL, b text DEFAULT upper('x') || 'y' PATH 'c' NOT NULL)
SELECT d.grid[id][id + 1] FROM docs d
SELECT concat(VARIADIC ARRAY['a', 'b']), format('%s', VARIADIC ARRAY['a']), jsonb_build_array(VARIADIC ARRAY[1,2])
SELECT id begin, id bigint, id ordinality FROM orders
SELECT numeric(10, 2) '1.5', varchar(2) 'ab', bit(3) '101', char(2) 'x', double precision '1.5', float(3) '1', character varying(3) 'abc'
SELECT point '(1,2)' <-> point '(3,4)', box '(1,1),(2,2)' && box '(0,0),(3,3)', inet '10.0.0.1' <<= inet '10.0.0.0/8'
SELECT XMLPARSE(CONTENT 'a')
SELECT XMLPARSE(DOCUMENT '<a/>' STRIP WHITESPACE)
SELECT XMLEXISTS('//a' PASSING BY REF '<a/>' BY REF)
SELECT XMLPI(NAME a)
SELECT XMLROOT('<a/>'::xml, VERSION NO VALUE, STANDALONE YES)
SELECT * FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS n FOR ORDINALITY)
