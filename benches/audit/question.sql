-- The question of the audit for the rules dcv.*, as sets: the names whose evidence breaks a rule. Both engines run these
-- statements; moments in seconds since 1970. Rules that stand behind others in a record defect (perspectives, DNSSEC) are
-- judged too, as in the audit. Tables: those of the feed, and `methods`, the dates of the methods.

-- Confirmations that are reuses themselves, and where every reuse leads.
CREATE {unlogged} TABLE filed AS
SELECT dcv_id, reused_dcv_id, method, completed_at FROM dcv_confirmations
WHERE reused_dcv_id IS NOT NULL OR method IN ('reuse', 'reused', 'cached', 'sticky', 'recent', 'same_key');

CREATE {unlogged} TABLE rooted AS
WITH RECURSIVE reuses AS (
    SELECT reuse_id, dcv_id, reused_reuse_id, rule, decided_at FROM dcv_reuse
    UNION ALL SELECT -dcv_id, reused_dcv_id, NULL, method, completed_at FROM filed),
steps(start, dcv_id, next, origin, depth) AS (
    SELECT reuse_id, dcv_id, reused_reuse_id, CAST(NULL AS bigint), 1 FROM reuses
    UNION ALL
    SELECT s.start, r.dcv_id, r.reused_reuse_id, coalesce(s.origin, r.decided_at), s.depth + 1
    FROM steps s JOIN reuses r ON r.reuse_id = s.next WHERE s.next IS NOT NULL AND s.depth < 64)
SELECT r.reuse_id, r.rule, r.decided_at, s.dcv_id AS root, s.origin
FROM reuses r LEFT JOIN steps s ON s.start = r.reuse_id AND s.next IS NULL;

{analyze}

CREATE {unlogged} TABLE broken AS
WITH asked AS (
    SELECT c.cert_id, c.signed_at, a.name, o.applicant_id, p.account_id, k.kind,
        CASE WHEN f.dcv_id IS NOT NULL THEN NULL ELSE a.dcv_id END AS dcv_id,
        CASE WHEN f.dcv_id IS NOT NULL THEN -a.dcv_id ELSE a.reuse_id END AS reuse_id,
        CASE WHEN left(a.name, 2) = '*.' THEN substr(a.name, 3) ELSE a.name END AS bare,
        right(a.name, 1) BETWEEN '0' AND '9' OR strpos(a.name, ':') > 0 AS address
    FROM certificates c
    JOIN san_authorisations a ON a.cert_id = c.cert_id
    JOIN orders o ON o.order_id = c.order_id
    JOIN applicants p ON p.applicant_id = o.applicant_id
    JOIN accounts k ON k.account_id = p.account_id
    LEFT JOIN filed f ON f.dcv_id = a.dcv_id
    WHERE c.not_after >= {now}),
judged AS (
    SELECT s.cert_id, s.signed_at, s.name, s.applicant_id, s.account_id, s.kind, s.bare, s.address,
        r.reuse_id AS found_reuse, c.dcv_id AS root, {flags},
        coalesce(r.decided_at - coalesce(r.origin, c.completed_at) > w.days * 86400, false) AS own_limit
    FROM asked s
    LEFT JOIN rooted r ON r.reuse_id = s.reuse_id
    LEFT JOIN (VALUES ('recent', 7), ('same_key', 825), ('sticky', 365)) AS w(rule, days) ON w.rule = r.rule
    LEFT JOIN dcv_confirmations c ON c.dcv_id = coalesce(s.dcv_id, r.root)
    LEFT JOIN applicants q ON q.applicant_id = c.applicant_id
    LEFT JOIN methods m ON m.method = c.method)
SELECT *, substr(bare, strpos(bare, '.') + 1) AS p1,
    substr(substr(bare, strpos(bare, '.') + 1), strpos(substr(bare, strpos(bare, '.') + 1), '.') + 1) AS p2,
    root IS NULL OR late OR adn_bad OR method_bad OR narrow OR aged OR token_bad OR applicant_bad OR by_hand
        OR resolver_bad OR network_bad AS serious
FROM judged
WHERE root IS NULL OR own_limit OR late OR adn_bad OR method_bad OR narrow OR aged OR token_bad OR applicant_bad
    OR by_hand OR resolver_bad OR network_bad;

{analyze}

-- A name of which another confirmation of the same applicant carries it is a defect of the record.
CREATE {unlogged} TABLE found AS
WITH carriers AS (
    SELECT cert_id, name, signed_at, applicant_id, account_id, kind, bare, address, bare AS domain
    FROM broken WHERE serious
    UNION ALL SELECT cert_id, name, signed_at, applicant_id, account_id, kind, bare, address, p1
    FROM broken WHERE serious AND NOT address AND p1 <> bare
    UNION ALL SELECT cert_id, name, signed_at, applicant_id, account_id, kind, bare, address, p2
    FROM broken WHERE serious AND NOT address AND p2 <> p1),
saved AS (
    SELECT DISTINCT cert_id, name FROM (
        SELECT s.cert_id, s.name, {flags}
        FROM carriers s
        JOIN dcv_confirmations c ON c.applicant_id = s.applicant_id AND c.adn = s.domain
            AND c.completed_at <= s.signed_at AND c.completed_at >= s.signed_at - 1186 * 86400
            AND c.reused_dcv_id IS NULL
        JOIN applicants q ON q.applicant_id = c.applicant_id
        LEFT JOIN methods m ON m.method = c.method) t
    WHERE NOT (late OR adn_bad OR method_bad OR narrow OR aged OR token_bad OR applicant_bad OR by_hand OR resolver_bad
        OR network_bad)),
told AS (
    SELECT b.*, d.cert_id IS NOT NULL AS record_bad
    FROM broken b LEFT JOIN saved d ON d.cert_id = b.cert_id AND d.name = b.name)
SELECT cert_id, name, 'dcv.record' AS rule FROM told WHERE record_bad
UNION ALL SELECT cert_id, name, 'dcv.exists' FROM told WHERE NOT record_bad AND (root IS NULL OR late)
UNION ALL SELECT cert_id, name, 'dcv.reuse' FROM told WHERE NOT record_bad AND (aged OR root IS NULL AND found_reuse IS NOT NULL)
UNION ALL SELECT cert_id, name, 'dcv.own_limit' FROM told WHERE NOT record_bad AND own_limit
UNION ALL SELECT cert_id, name, 'dcv.adn' FROM told WHERE NOT record_bad AND adn_bad
UNION ALL SELECT cert_id, name, 'dcv.method' FROM told WHERE NOT record_bad AND method_bad
UNION ALL SELECT cert_id, name, 'dcv.wildcard' FROM told WHERE NOT record_bad AND narrow
UNION ALL SELECT cert_id, name, 'dcv.token30' FROM told WHERE NOT record_bad AND token_bad
UNION ALL SELECT cert_id, name, 'dcv.applicant' FROM told WHERE NOT record_bad AND applicant_bad
UNION ALL SELECT cert_id, name, 'dcv.manual' FROM told WHERE NOT record_bad AND by_hand
UNION ALL SELECT cert_id, name, 'dcv.resolver' FROM told WHERE NOT record_bad AND resolver_bad;
