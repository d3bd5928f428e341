-- Starts under ids of which nothing is known: each whole, or nothing of it if somebody was faster. $1 a time in the place of the
-- database's, $2 how many there are, $3 to $14 the starts (no id twice), $15 to $19 their search attributes.
-- Who waits for whom: rows of `instance` are inserted in order of their ids, as everybody locks them. Numbers of runs are given in
-- the order in which the starts came. Answers for each start that was written, and, without a run, for each whose lane is not
-- what the process remembers of it (a database may have been put back to an earlier moment). Of the others something is known.
WITH c AS MATERIALIZED (SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now),
t AS MATERIALIZED (
    SELECT t.*, EXISTS (
        SELECT 1 FROM lane l JOIN definition d ON d.id = l.definition
        WHERE l.id = t.lane AND l.key = t.tags_key AND d.id = t.definition AND d.hash = t.hash
    ) AS remembered
    FROM (SELECT * FROM unnest(
        $3::text[], $4::bigint[], $5::bytea[], $6::bigint[], $7::bytea[], $8::smallint[], $9::bytea[], $10::text[], $11::text[],
        $12::bigint[], $13::bigint[], $14::bytea[]
    ) WITH ORDINALITY AS t (
        instance_id, definition, hash, lane, tags_key, priority, nonce, first_node, trace, lease, ttl, input, ord
    ) LIMIT $2) t
),
n AS MATERIALIZED (
    SELECT x.*, nextval('run_number') AS run
    FROM (
        SELECT t.* FROM t WHERE t.remembered AND NOT EXISTS (SELECT 1 FROM instance i WHERE i.instance_id = t.instance_id) ORDER BY t.ord
    ) x
),
i AS (
    INSERT INTO instance (instance_id, run, definition, created_at, updated_at, lane, status, priority, nonce, first_node, trace)
    SELECT n.instance_id, n.run, n.definition, c.now, c.now, n.lane, 1, n.priority, n.nonce, n.first_node, n.trace
    FROM n CROSS JOIN c ORDER BY n.instance_id COLLATE "C" ON CONFLICT (instance_id) DO NOTHING RETURNING run
),
s AS MATERIALIZED (SELECT n.* FROM i JOIN n ON n.run = i.run),
j AS (
    INSERT INTO journal (run, branch, revision, at, lease, attempt, kind, node, output)
    SELECT s.run, '0', 1, c.now, s.lease, 0, 1, s.first_node, s.input FROM s CROSS JOIN c
),
b AS (
    INSERT INTO branch (run, branch, revision, lease, input_branch, input_revision, fork_revision, due_at, run_at, moved_at, attempt_at,
        lane, attempt, phase, priority, node)
    SELECT s.run, '0', 1, s.lease, '0', 1, 0, c.now, c.now + s.ttl, c.now, c.now, s.lane, 0, 0, s.priority, s.first_node
    FROM s CROSS JOIN c
),
a AS (
    INSERT INTO attribute (run, name, kind, number, text)
    SELECT s.run, k.name, k.kind, k.number, k.text
    FROM s JOIN unnest($15::bigint[], $16::text[], $17::smallint[], $18::bigint[], $19::text[]) k (ord, name, kind, number, text) ON k.ord = s.ord
)
SELECT s.ord, s.run, c.now FROM s CROSS JOIN c
UNION ALL SELECT t.ord, NULL, c.now FROM t CROSS JOIN c WHERE NOT t.remembered
