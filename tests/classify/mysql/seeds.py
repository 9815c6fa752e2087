# ruff: noqa: SIM905 - lists of words read best as words
"""Statements of many shapes, to be mutated, and the words that are put into them."""

from typing import Final

SEEDS: Final = """
SELECT id, note FROM app.orders WHERE id = 1 ORDER BY note DESC LIMIT 10
;;
SELECT o.id, c.Name FROM orders o JOIN app.customers AS c ON o.customer_id = c.id LEFT JOIN secret.pay
p USING (id)
;;
SELECT * FROM (SELECT who, amount FROM secret.pay WHERE amount > 5) AS x, app.orders
;;
SELECT (SELECT max(amount) FROM secret.pay p WHERE p.id = o.id) AS m, count(*) FROM app.orders o GROUP
BY 1
;;
WITH a AS (SELECT id FROM app.orders), b (x) AS (SELECT who FROM secret.pay) SELECT * FROM a, b WHERE
a.id = b.x
;;
WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i, id FROM n,
app.orders
;;
(SELECT id FROM app.orders) UNION ALL (SELECT id FROM secret.pay ORDER BY id LIMIT 1) EXCEPT SELECT id
FROM customers
;;
SELECT id FROM app.orders WHERE id IN (SELECT id FROM secret.pay) AND EXISTS (SELECT 1 FROM app.customers)
;;
SELECT a.id FROM (app.orders a, app.customers b) JOIN (secret.pay p CROSS JOIN app.parts) ON p.id = a.id
;;
SELECT * FROM app.orders NATURAL JOIN app.customers
;;
SELECT CASE WHEN amount > 1 THEN note ELSE 'x' END, CAST(id AS CHAR(3)), note LIKE 'a%' FROM orders
;;
SELECT row_number() OVER (PARTITION BY note ORDER BY amount ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
FROM orders
;;
SELECT GROUP_CONCAT(DISTINCT note ORDER BY id SEPARATOR ',') FROM app.orders o GROUP BY customer_id
HAVING count(*) > 0
;;
SELECT TRIM(BOTH 'x' FROM note), EXTRACT(DAY FROM now()), SUBSTRING(note FROM 2 FOR 3), POSITION('a' IN
note) FROM orders
;;
SELECT date_add(now(), INTERVAL id DAY), INTERVAL(1, id), id DIV 2, -id, NOT id, ~id FROM app.orders
;;
SELECT * FROM app.parts PARTITION (p0) AS q WHERE q.id BETWEEN 1 AND 3 FOR UPDATE
;;
SELECT * FROM secret.old FOR SYSTEM_TIME AS OF now() WHERE id = 1
;;
SELECT * FROM app.orders USE INDEX (PRIMARY) WHERE `id` = 1 LOCK IN SHARE MODE
;;
INSERT INTO app.orders (id, note) VALUES (7, 'x'), (8, (SELECT who FROM secret.pay LIMIT 1))
;;
INSERT INTO app.orders (id, note) SELECT id, who FROM secret.pay ON DUPLICATE KEY UPDATE note =
VALUES(note)
;;
INSERT IGNORE INTO orders SET id = 9, note = 'x' RETURNING id, (SELECT Name FROM customers LIMIT 1)
;;
REPLACE INTO app.orders VALUES (1, 2, 3, 'x', 4)
;;
UPDATE app.orders SET note = 'x', amount = amount + 1 WHERE id = 1 ORDER BY id LIMIT 1
;;
UPDATE app.orders o JOIN secret.pay p ON o.id = p.id SET o.note = p.who WHERE p.amount > 1
;;
UPDATE orders, app.customers c SET c.email = note, orders.amount = 1 WHERE c.id = orders.id
;;
DELETE FROM app.orders WHERE id = (SELECT max(id) FROM secret.pay) LIMIT 1
;;
DELETE o, p FROM app.orders o JOIN secret.pay p ON o.id = p.id
;;
DELETE FROM o USING app.orders AS o INNER JOIN app.customers c WHERE o.id = c.id
;;
CREATE TABLE app.made AS SELECT id, who FROM secret.pay
;;
CREATE TABLE app.made (id int PRIMARY KEY, n int REFERENCES secret.pay (id)) ENGINE = InnoDB
;;
CREATE TABLE app.made LIKE secret.pay
;;
CREATE OR REPLACE VIEW app.seen AS SELECT who FROM secret.pay
;;
ALTER TABLE app.orders ADD COLUMN x int, RENAME TO app.gone
;;
DROP TABLE IF EXISTS app.orders, secret.pay
;;
RENAME TABLE app.orders TO app.x, secret.pay TO app.orders
;;
TRUNCATE TABLE secret.pay
;;
LOCK TABLES app.orders READ, secret.pay AS p WRITE
;;
SHOW COLUMNS FROM pay FROM secret LIKE 'x'
;;
SHOW CREATE TABLE secret.pay
;;
DESCRIBE app.orders note
;;
EXPLAIN SELECT * FROM secret.pay
;;
ANALYZE FORMAT=JSON SELECT * FROM app.orders
;;
HANDLER secret.pay OPEN AS h
;;
CHECKSUM TABLE app.orders, secret.pay
;;
SELECT NEXTVAL(app.seq1), NEXT VALUE FOR app.seq1, who FROM secret.pay
;;
TABLE secret.pay
;;
VALUES (1, (SELECT who FROM secret.pay)), (2, 3)
;;
SELECT 1 /*!50000 , (SELECT who FROM secret.pay LIMIT 1) */ -- , 2
;;
SELECT 'a''b', "c\\"d", 'e\\'f', x'41', 0x41, b'1', N'x', _utf8mb4'x', `id` FROM app.orders # x
;;
SELECT {d '2020-01-01'}, @a := note, @@version, amount->'$.a' FROM orders
;;
SELECT JSON_TABLE.x FROM JSON_TABLE('[1]', '$[*]' COLUMNS (x int PATH '$')) AS JSON_TABLE, app.orders
;;
SELECT id FROM app.orders INTO @v
;;
DO (SELECT max(amount) FROM secret.pay)
;;
SELECT * FROM app.v_pay
;;
SELECT 1; SELECT who FROM secret.pay; SELECT note FROM app.orders
;;
USE secret; SELECT who FROM pay; USE app; SELECT note FROM orders
""".split("\n;;\n")
SPARE: Final = """
SELECT FROM WHERE ( ) , . ; TABLE WITH AS UNION ALL JOIN ON USING VALUES INTO FOR UPDATE RETURNING DELETE
INSERT REPLACE SET IN EXISTS NOT CASE WHEN THEN END ELSE ORDER BY LIMIT OFFSET GROUP HAVING WINDOW
PARTITION
LEFT RIGHT NATURAL CROSS STRAIGHT_JOIN LATERAL DISTINCT RECURSIVE EXCEPT INTERSECT LOCK SHARE MODE a b
id who
note amount app.orders secret.pay pay orders p.who o.* * count(*) max( ( SELECT 1 'x' "y" `pay` = + -
|| := -> @v
@@version ? NULL LIKE BETWEEN AND OR IS DIV INTERVAL DAY VALUE DEFAULT DUAL USE IGNORE INDEX FORCE KEY
/*!50000 /*! /*M! */ /* # -- \\ ' " ` DUPLICATE row rows first next key over ROLLUP AGAINST MATCH
SYSTEM_TIME
OF LIKE EXPLAIN ANALYZE SHOW COLUMNS DESCRIBE TO LOW_PRIORITY QUICK PROCEDURE OUTFILE binary collate
escape
(SELECT who FROM secret.pay LIMIT 1) FROM,secret.pay ,secret.pay JOIN(secret.pay) _utf8mb4 date system
window
""".split()
