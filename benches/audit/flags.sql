
        coalesce(c.completed_at > s.signed_at, false) AS late,
        coalesce(NOT (c.adn = s.bare OR (right(s.bare, length(c.adn) + 1) = '.' || c.adn AND NOT s.address))
            OR (strpos(c.adn, '.') = 0 AND strpos(c.adn, ':') = 0), false) AS adn_bad,
        c.dcv_id IS NOT NULL AND coalesce(m.method IS NULL
            OR s.signed_at >= m.banned OR c.completed_at >= m.banned OR c.completed_at >= m.closed
            OR c.completed_at < m.begins OR m.for_addresses <> s.address, false) AS method_bad,
        coalesce(s.name <> c.adn AND s.signed_at >= m.exact
            AND (c.adn = s.bare OR right(s.bare, length(c.adn) + 1) = '.' || c.adn), false) AS narrow,
        coalesce(s.signed_at - c.completed_at > 86400 * CASE WHEN m.ten_days THEN 10
            WHEN s.signed_at >= 1868227200 THEN 10 WHEN s.signed_at >= 1805068800 THEN 100
            WHEN s.signed_at >= 1773532800 THEN 200 WHEN s.signed_at >= 1633046400 THEN 398
            WHEN s.signed_at >= 1519862400 THEN 825 ELSE 1186 END, false) AS aged,
        coalesce(m.token AND (c.token_issued_at > c.completed_at OR c.completed_at - c.token_issued_at > 2592000), false)
            AS token_bad,
        coalesce(c.applicant_id <> s.applicant_id
            AND (q.account_id <> s.account_id OR s.kind IN ('reseller', 'cdn')), false) AS applicant_bad,
        coalesce(c.performed_by <> 'system' AND (m.method IS NULL OR NOT m.by_person), false) AS by_hand,
        coalesce(c.resolver <> 'own' AND (m.method IS NULL OR NOT m.by_person), false) AS resolver_bad,
        coalesce(m.mpic AND NOT (m.over_tor AND right(s.bare, 6) = '.onion') AND (
            c.remote_ok <= c.remote_total AND (
                c.remote_total < CASE WHEN c.completed_at >= 1797292800 THEN 5 WHEN c.completed_at >= 1781481600 THEN 4
                    WHEN c.completed_at >= 1773532800 THEN 3 WHEN c.completed_at >= 1741996800 THEN 2 ELSE 0 END
                OR c.completed_at >= 1757894400 AND c.remote_total - c.remote_ok
                    > CASE WHEN c.remote_total < 2 THEN 0 WHEN c.remote_total < 6 THEN 1 ELSE 2 END
                OR c.completed_at >= 1773532800 AND c.remote_rirs < 2)
            OR c.completed_at >= 1773532800 AND c.dnssec IN ('bogus', 'indeterminate', 'off', 'none', 'no', 'disabled')),
            false) AS network_bad
