#!/usr/bin/env bash
# Saves the images named in IMAGES, one on each line, from the store ROOT as ARCHIVE. The key of the cache is
# the digest of the archive: the same images have the same key, and are stored once.
set -euo pipefail

program=${LAYERLIFT:-layerlift}
options=()
[ -z "${ROOT:-}" ] || options+=(--root "$ROOT")
# Stores of engines belong to root.
command=("$program")
if [ "$(id -u)" -ne 0 ] && sudo -n true 2>/dev/null; then
    command=(sudo -n "$(command -v "$program")")
fi
printf '%s\n' "$IMAGES" | "${command[@]}" save --from-file - "${options[@]}" --quiet >"$ARCHIVE"
digest=$(sha256sum <"$ARCHIVE" | cut -d ' ' -f 1)
printf 'digest=sha256:%s\nkey=layerlift-%s\n' "$digest" "$digest" >>"$GITHUB_OUTPUT"
