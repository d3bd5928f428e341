-- Events, each for any instance, in the order in which they came. $1 a time in the place of the database's, $2 how many there are,
-- $3 to $6 the events. The transaction goes on with those who wait for them, in a statement that begins when this one has its locks.
-- Who waits for whom: rows of `instance` are locked in order of their ids, as everybody locks them, and then those of ids of which
-- nothing is known are inserted in that order (as starts do, which lock no others). A row that somebody else inserts at the same time,
-- or deletes, is left out. What is decided by is read from the locked versions; that a key was seen is told by its own index.
-- Answers for each event that is for a run that goes on, is paused or has not begun: its number, or none if it is a duplicate.
WITH c AS MATERIALIZED (SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now),
t AS MATERIALIZED (
    SELECT t.*, t.key IS NULL OR row_number() OVER (PARTITION BY t.instance_id, t.key ORDER BY t.ord) = 1 AS first
    FROM (SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::bytea[]) WITH ORDINALITY AS t (
        instance_id, name, key, payload, ord
    ) LIMIT $2) t
),
li AS MATERIALIZED (
    SELECT i.instance_id, i.run, i.mail, i.status, i.paused FROM instance i
    WHERE i.instance_id IN (SELECT t.instance_id FROM t) ORDER BY i.instance_id FOR NO KEY UPDATE
),
-- Ids of which nothing is known: their number becomes their first run's, and none of their keys was seen.
n AS MATERIALIZED (
    SELECT x.*, nextval('run_number') AS run
    FROM (
        SELECT t.instance_id, count(*) FILTER (WHERE t.first) AS mail FROM t
        WHERE (SELECT count(*) FROM li) >= 0 AND NOT EXISTS (SELECT 1 FROM instance i WHERE i.instance_id = t.instance_id)
        GROUP BY t.instance_id ORDER BY min(t.ord)
    ) x
),
i AS (
    INSERT INTO instance (instance_id, run, mail, status, created_at, updated_at)
    SELECT n.instance_id, n.run, n.mail, 0, c.now, c.now FROM n CROSS JOIN c ORDER BY n.instance_id COLLATE "C"
    ON CONFLICT (instance_id) DO NOTHING RETURNING instance_id, run
),
r AS MATERIALIZED (
    SELECT li.instance_id, li.run, li.mail, li.status = 1 AND NOT li.paused AS goes_on, true AS known FROM li WHERE li.status IN (0, 1)
    UNION ALL SELECT i.instance_id, i.run, 0, false, false FROM i
),
a AS MATERIALIZED (
    SELECT t.ord, t.instance_id, t.name, t.key, t.payload, t.first, r.run, r.mail, r.goes_on, r.known
    FROM t JOIN r ON r.instance_id = t.instance_id
),
k AS (
    INSERT INTO event_key (run, key) SELECT a.run, a.key FROM a WHERE a.key IS NOT NULL AND a.first ORDER BY a.run, a.key COLLATE "C"
    ON CONFLICT (run, key) DO NOTHING RETURNING run, key
),
s AS MATERIALIZED (
    SELECT a.*, a.mail + row_number() OVER (PARTITION BY a.run ORDER BY a.ord) AS seq
    FROM a LEFT JOIN k ON k.run = a.run AND k.key = a.key WHERE a.key IS NULL OR (a.first AND k.key IS NOT NULL)
),
e AS (INSERT INTO event (run, name, seq, at, payload) SELECT s.run, s.name, s.seq, c.now, s.payload FROM s CROSS JOIN c),
m AS (
    UPDATE instance i SET mail = x.mail
    FROM (SELECT s.instance_id, max(s.seq) AS mail FROM s WHERE s.known GROUP BY s.instance_id) x WHERE i.instance_id = x.instance_id
)
SELECT a.ord, a.run, s.seq, a.goes_on, c.now FROM c CROSS JOIN a LEFT JOIN s ON s.ord = a.ord ORDER BY a.ord
