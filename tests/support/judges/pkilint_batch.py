"""pkilint over many certificates in one process: its command line loads for half a
second per certificate.

stdin: one JSON object a line, {"name": ..., "pem": ..., "issued_at": ISO 8601 or null}.
stdout: first {"version": ..., "codes": [every code its server certificate linters can give]}, then, in the order of the
input, {"name": ..., "results": as `lint_cabf_serverauth_cert lint -d -f JSON` prints them} or {"name": ...,
"unreadable": why it could not load the certificate}.
"""

import datetime
import json
import logging
import sys
from importlib.metadata import version

from pkilint import document, finding_filter, loader, report
from pkilint.cabf import serverauth
from pkilint.cabf.serverauth import serverauth_constants
from pkilint.pkix import certificate

# What breaks a validator is in its results; the traces of it are nobody's business here.
logging.disable(logging.CRITICAL)


def container(kind, issued_at=None):
    start = [] if issued_at is None else [document.StaticValidityPeriodStartRetriever(issued_at)]
    return certificate.create_pkix_certificate_validator_container(
        serverauth.create_decoding_validators(), serverauth.create_validators(kind, *start)
    )


def lint(pem, issued_at, known):
    cert = loader.load_pem_certificate(pem, "certificate")
    kind = serverauth.determine_certificate_type(cert)
    if kind not in known:
        known[kind] = container(kind)
    validator = known[kind] if issued_at is None else container(kind, issued_at)
    filters = serverauth.create_serverauth_finding_filters(kind)
    results, _ = finding_filter.filter_results(filters, validator.validate(cert.root))
    return json.loads(report.ReportGeneratorJson(results, None).generate())["results"]


def main():
    kinds = serverauth_constants.SUBSCRIBER_CERTIFICATE_TYPES
    codes = {v.code for kind in kinds for v in container(kind).validations}
    print(json.dumps({"version": version("pkilint"), "codes": sorted(codes)}))
    known = {}
    for line in sys.stdin:
        asked = json.loads(line)
        at = asked["issued_at"]
        at = None if at is None else datetime.datetime.fromisoformat(at.replace("Z", "+00:00"))
        try:
            answer = {"results": lint(asked["pem"], at, known)}
        except ValueError as error:
            answer = {"unreadable": str(error)}
        print(json.dumps({"name": asked["name"], **answer}))


if __name__ == "__main__":
    main()
