package strictjson

// Nearest returns the known word closest to what a person wrote, or "" if none is within
// two changed, added or omitted letters.
func Nearest(word string, known []string) string {
	const within = 2
	best, least := "", within+1
	if len(word) > 64 {
		return ""
	}
	for _, k := range known {
		if d := distance(word, k); d > 0 && d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// distance returns the Levenshtein edit distance, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
