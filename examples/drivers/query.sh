#!/bin/sh
# PORTSIDE_ENDPOINT=https://eu-west.example.com PORTSIDE_CACHE=<cache id> DB_NAME=shop \
#   DB_USER=app DB_PASSWORD=secret ./query.sh "select 1 as one"
# With "Accept: application/x-ndjson" the rows come one a line.
set -eu
curl -sS --fail-with-body -u "$DB_USER:$DB_PASSWORD" "$PORTSIDE_ENDPOINT/v1/query" \
    -H 'Content-Type: application/json' \
    -d "{\"cache\": \"$PORTSIDE_CACHE\", \"database\": \"$DB_NAME\", \"sql\": \"${1:-select 1 as one}\"}"
echo
