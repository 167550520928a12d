#!/bin/sh
# With "Accept: application/x-ndjson" the rows come one a line.
set -eu
curl -sS --fail-with-body -u "$DB_USER:$DB_PASSWORD" "$PORTSIDE_ENDPOINT/v1/query" \
    -H 'Content-Type: application/json' \
    -d "{\"cache\": \"$PORTSIDE_CACHE\", \"database\": \"$DB_NAME\", \"sql\": \"${1:-select 1 as one}\"}"
echo
