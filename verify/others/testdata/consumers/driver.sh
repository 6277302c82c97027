# Reads "<seconds> [fresh]" lines and answers each with the access token that
# the snippet has at that time.
date() { echo "$clock"; }
while read -r clock how; do
  if read_token "$SECRET_ID" "$how" 2>/dev/null; then echo "$access_token"; else echo error; fi
done
