#!/usr/bin/env bash
# Loads ARCHIVE into ENGINE, if it is the one that KEY was made for.
set -euo pipefail

digest=${KEY#layerlift-}
if ! sha256sum --check --status <<<"$digest  $ARCHIVE"; then
    echo "::error::$ARCHIVE does not have the digest in the key $KEY: run the save job again"
    exit 1
fi
"${ENGINE:-docker}" load <"$ARCHIVE"
