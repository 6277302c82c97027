# Reads "<seconds> [fresh]" lines and answers each with the access token that
# the snippet has at that time, and "<seconds> get <url>" lines with the answer.
date() { echo "$clock"; }
while read -r clock how url; do
  if [ "$how" = get ]; then
    if answer=$(get "$SECRET_ID" "$url" 2>/dev/null); then echo "$answer"; else echo error; fi
  elif read_token "$SECRET_ID" "$how" 2>/dev/null; then
    echo "$access_token"
  else
    echo error
  fi
done
