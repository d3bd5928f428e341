-- Transitions of different branches, of any kind but a failure. $1 a time in the place of the database's, $2 how many there
-- are, $3 to $20 as in commit_fast.sql, then what only some kinds have, then the children of forks ($33 on).
-- `next`: 0 go on, 1 be released, 2 await an event, 3 fork, 4 end as a child, 5 finish the run.
-- `wake`: 0 at once, 1 after `wait`, 2 as stored, null never. Phase 3 is awaiting an event.
-- Locks instances, then branches with ancestors first, then events. What is decided by is read from the locked versions;
-- other rows are found by the keys of locked ones. Each row is written by one part. Answers for each member with a verdict:
-- 0 accepted, 1 a lane is missing, 2 no parent waits for it, 3 refused.
WITH c AS MATERIALIZED (SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now),
t AS MATERIALIZED (
    SELECT x.*, x.next IN (2, 3, 5) OR x.mail IS NOT NULL OR x.event IS NOT NULL AS live, x.next IN (1, 2) AND x.phase = 3 AS waits
    FROM (SELECT * FROM unnest(
        $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::smallint[], $8::text[], $9::integer[], $10::bytea[], $11::bytea[],
        $12::text[], $13::bigint[], $14::text[], $15::text[], $16::smallint[], $17::integer[], $18::text[], $19::bigint[], $20::bigint[],
        $21::text[], $22::smallint[], $23::bigint[], $24::text[], $25::bigint[], $26::boolean[], $27::smallint[], $28::bigint[],
        $29::text[], $30::bytea[], $31::smallint[], $32::text[]
    ) WITH ORDINALITY AS t (
        run, branch, revision, lease, kind, path, tries, output, handed_on,
        same_branch, same_revision, error, node, phase, attempt, input_branch, input_revision, fork_revision,
        instance_id, next, mail, event, seq, held, wake, wait,
        signal, tags_key, priority, parent, ord
    ) LIMIT $2) x
),
k AS MATERIALIZED (
    SELECT * FROM unnest(
        $33::bigint[], $34::text[], $35::text[], $36::smallint[], $37::integer[], $38::text[], $39::bigint[], $40::bigint[], $41::bytea[],
        $42::smallint[], $43::boolean[]
    ) AS k (ord, branch, node, phase, attempt, input_branch, input_revision, fork_revision, tags_key, priority, keep)
),
-- Instances: their state and mail, as they are now (locked) and as this statement found them.
li AS MATERIALIZED (
    SELECT i.instance_id, i.run, i.status, i.mail FROM instance i
    WHERE i.instance_id IN (SELECT t.instance_id FROM t WHERE t.live OR t.waits) ORDER BY i.instance_id FOR NO KEY UPDATE
),
si AS MATERIALIZED (SELECT i.instance_id, i.mail FROM instance i WHERE i.instance_id IN (SELECT t.instance_id FROM t WHERE t.waits)),
-- Branches, and the parents of those that end.
lb AS MATERIALIZED (
    SELECT b.run, b.branch, b.revision, b.lease, b.pending, b.moved_at, b.due_at, b.awaits, b.lane
    FROM (SELECT run, branch FROM t UNION SELECT run, parent FROM t WHERE next = 4) x JOIN branch b ON b.run = x.run AND b.branch = x.branch
    WHERE (SELECT count(*) FROM li) >= 0 ORDER BY b.run, b.branch FOR NO KEY UPDATE OF b
),
le AS MATERIALIZED (
    SELECT e.run, e.name, e.seq FROM t JOIN event e ON e.run = t.run AND e.name = t.event AND e.seq = t.seq
    WHERE t.event IS NOT NULL AND (SELECT count(*) FROM lb) >= 0 ORDER BY e.run, e.name, e.seq FOR UPDATE OF e
),
-- Who is as its owner saw it, and may do what it wants.
g AS MATERIALIZED (
    SELECT t.*, greatest(c.now, lb.moved_at) AS at, lb.pending AS pending, lb.lane AS old_lane, l1.id AS lane,
        CASE t.next WHEN 1 THEN CASE WHEN t.phase = 3 THEN lb.awaits END WHEN 2 THEN t.signal END AS awaits,
        CASE t.wake WHEN 0 THEN c.now WHEN 1 THEN c.now + t.wait WHEN 2 THEN lb.due_at END AS due_at,
        -- Mail that came while this waited for its locks may be for this branch: rather wake it in vain.
        t.waits AND li.mail IS DISTINCT FROM si.mail AS unsure
    FROM c CROSS JOIN t JOIN lb ON lb.run = t.run AND lb.branch = t.branch AND lb.revision = t.revision AND lb.lease = t.lease
    LEFT JOIN li ON li.instance_id = t.instance_id LEFT JOIN si ON si.instance_id = t.instance_id
    LEFT JOIN le ON le.run = t.run AND le.name = t.event AND le.seq = t.seq
    LEFT JOIN lane l0 ON l0.id = lb.lane AND t.next IN (1, 2) LEFT JOIN lane l1 ON l1.definition = l0.definition AND l1.key = t.tags_key
    WHERE (NOT t.live OR (li.run = t.run AND li.status = 1)) AND (t.mail IS NULL OR li.mail = t.mail)
        AND (t.event IS NULL OR le.seq IS NOT NULL)
),
kg AS MATERIALIZED (
    SELECT k.*, l1.id AS lane FROM k JOIN g ON g.ord = k.ord JOIN lane l0 ON l0.id = g.old_lane
    LEFT JOIN lane l1 ON l1.definition = l0.definition AND l1.key = k.tags_key
),
v AS MATERIALIZED (
    SELECT g.*, CASE
        WHEN (g.next IN (1, 2) AND g.lane IS NULL) OR EXISTS (SELECT 1 FROM kg WHERE kg.ord = g.ord AND kg.lane IS NULL) THEN 1
        WHEN g.next = 4 AND NOT EXISTS (SELECT 1 FROM lb WHERE lb.run = g.run AND lb.branch = g.parent AND lb.pending > 0) THEN 2
        ELSE 0 END::smallint AS verdict,
        g.waits AND (g.unsure OR EXISTS (SELECT 1 FROM event e WHERE e.run = g.run AND e.name = g.awaits)) AS woken,
        (SELECT count(*) FROM kg WHERE kg.ord = g.ord)::integer AS children,
        CASE WHEN g.next IN (3, 4) THEN coalesce((SELECT s.ttl FROM session s WHERE s.lease = g.lease), 30000000) END AS ttl
    FROM g
),
ok AS MATERIALIZED (SELECT * FROM v WHERE verdict = 0),
j AS (
    INSERT INTO journal (run, branch, revision, at, lease, kind, node, attempt, output, handed_on, same_branch, same_revision, error)
    SELECT run, branch, revision + 1, at, lease, kind, path, tries, output, handed_on, same_branch, same_revision, error
    FROM ok WHERE kind IS NOT NULL
),
u AS (
    UPDATE branch b SET
        revision = ok.revision + 1, node = ok.node, phase = ok.phase, attempt = ok.attempt, input_branch = ok.input_branch,
        input_revision = ok.input_revision, fork_revision = ok.fork_revision, crashes = 0, moved_at = ok.at,
        awaits = ok.awaits, due_at = CASE WHEN ok.next IN (1, 2) THEN ok.due_at END,
        lease = CASE WHEN ok.next = 0 THEN b.lease END,
        pending = CASE ok.next WHEN 2 THEN 0 WHEN 3 THEN ok.children ELSE b.pending END,
        run_at = CASE
            WHEN ok.next = 0 THEN b.run_at
            WHEN ok.held OR ok.next = 3 OR (ok.next = 1 AND b.pending > 0) THEN NULL
            WHEN ok.woken THEN c.now
            -- What waits for an event has no time of its own; what is ready is due at once.
            ELSE coalesce(ok.due_at, CASE WHEN ok.next = 1 AND ok.awaits IS NULL THEN c.now END) END,
        lane = coalesce(ok.lane, b.lane), priority = CASE WHEN ok.next IN (1, 2) THEN ok.priority ELSE b.priority END,
        attempt_at = CASE WHEN ok.next = 0 AND b.node = ok.node AND b.phase = ok.phase AND b.attempt = ok.attempt
            THEN b.attempt_at ELSE c.now END,
        progress = CASE WHEN ok.next = 0 AND b.node = ok.node AND b.phase = ok.phase AND b.attempt = ok.attempt THEN b.progress END,
        progress_at = CASE WHEN ok.next = 0 AND b.node = ok.node AND b.phase = ok.phase AND b.attempt = ok.attempt THEN b.progress_at END
    FROM ok CROSS JOIN c WHERE ok.next < 4 AND b.run = ok.run AND b.branch = ok.branch
),
n AS (
    INSERT INTO branch (run, branch, revision, lease, node, phase, attempt, input_branch, input_revision, fork_revision,
        due_at, run_at, moved_at, attempt_at, lane, priority)
    SELECT ok.run, kg.branch, 1, CASE WHEN kg.keep AND NOT ok.held THEN ok.lease END, kg.node, kg.phase, kg.attempt, kg.input_branch,
        kg.input_revision, kg.fork_revision, c.now, CASE WHEN ok.held THEN NULL WHEN kg.keep THEN c.now + ok.ttl ELSE c.now END,
        ok.at, c.now, kg.lane, kg.priority
    FROM ok JOIN kg ON kg.ord = ok.ord CROSS JOIN c
),
d AS (DELETE FROM branch b USING ok WHERE ok.next IN (4, 5) AND b.run = ok.run AND b.branch = ok.branch),
-- A run that finishes leaves no other head behind, whatever there was.
r AS (DELETE FROM branch b USING ok WHERE ok.next = 5 AND b.run = ok.run AND b.branch <> ok.branch),
x AS (DELETE FROM event e USING ok WHERE e.run = ok.run AND e.name = ok.event AND e.seq = ok.seq),
f AS (
    UPDATE instance i SET status = 2, paused = false, end_branch = ok.branch, end_revision = ok.revision + 1, updated_at = c.now,
        request_reason = NULL, request_by = NULL, request_at = NULL
    FROM ok CROSS JOIN c WHERE ok.next = 5 AND i.instance_id = ok.instance_id
),
-- Ends of several children of one parent are one change of it. The last of them readies it.
q AS MATERIALIZED (
    SELECT run, parent, count(*)::integer AS ends, max(at) AS at, max(ord) AS ord, (array_agg(lease ORDER BY ord DESC))[1] AS lease,
        (array_agg(held ORDER BY ord DESC))[1] AS held, (array_agg(ttl ORDER BY ord DESC))[1] AS ttl
    FROM ok WHERE next = 4 GROUP BY run, parent
),
p AS (
    UPDATE branch b SET
        pending = b.pending - q.ends, moved_at = greatest(b.moved_at, q.at + 1),
        revision = b.revision + (b.pending = q.ends)::integer,
        due_at = CASE WHEN b.pending = q.ends THEN c.now ELSE b.due_at END,
        attempt_at = CASE WHEN b.pending = q.ends THEN c.now ELSE b.attempt_at END,
        progress = CASE WHEN b.pending = q.ends THEN NULL ELSE b.progress END,
        progress_at = CASE WHEN b.pending = q.ends THEN NULL ELSE b.progress_at END,
        lease = CASE WHEN b.pending = q.ends AND NOT q.held THEN q.lease ELSE b.lease END,
        run_at = CASE WHEN b.pending = q.ends AND NOT q.held THEN c.now + q.ttl ELSE b.run_at END
    FROM q CROSS JOIN c WHERE b.run = q.run AND b.branch = q.parent
    RETURNING q.ord, b.pending = 0 AND NOT q.held AS readied
)
SELECT t.ord, coalesce(v.verdict, 3::smallint) AS verdict, v.at, coalesce(p.readied, false) AS readied, v.old_lane AS lane
FROM t LEFT JOIN v ON v.ord = t.ord LEFT JOIN p ON p.ord = t.ord
