#!/bin/sh
# A stand-in for zlint's command line: `zlint.sh MODE FILE...` prints what zlint prints for each file, one JSON object a
# line, or does what a broken program does. Without files the certificates come on standard input.
mode=$1
shift
answer='{"e_dnsname_not_valid_tld":{"result":"error","details":"not a TLD"},"e_brand_new_lint":{"result":"error"},"e_rsa_mod_less_than_2048_bits":{"result":"NA"},"n_subject_common_name_included":{"result":"pass"}}'
case $mode in
-version) echo "ZLint version 3.6.4" ;;
answer)
  # A program must not see our environment: a password may be in it.
  [ -z "$CARGO_MANIFEST_DIR" ] || exit 9
  if [ $# = 0 ]; then
    grep -e '-----BEGIN CERTIFICATE-----' | while read -r _; do echo "$answer"; done
  else
    for file in "$@"; do
      grep -q -e '-----BEGIN CERTIFICATE-----' "$file" || exit 8
      echo "$answer"
    done
  fi
  ;;
# The first argument is a file for the process number of a child that outlives its parent's patience.
hang)
  sleep 600 &
  echo $! >"$1"
  wait
  ;;
orphan)
  sleep 600 &
  echo $! >"$1"
  echo "$answer"
  ;;
garbage) printf '\377\376 Traceback (most recent call last):\n' ;;
wrong) echo '["e_dnsname_not_valid_tld"]' ;;
half) echo "$answer" | cut -c 1-60 ;;
few) echo "$answer" ;;
exit) echo "$answer" && echo 'unable to read the configuration' >&2 && exit 3 ;;
unreadable) echo 'level=fatal msg="unable to parse certificate: x509: trailing data"' >&2 && exit 1 ;;
killed) echo "$answer" && kill -9 $$ ;;
huge) yes "$answer" ;;
loud) yes 'a complaint' | head -c 3000000 >&2 && echo "$answer" ;;
esac
