// Package nearest finds the name that somebody who misspelt it most likely meant.
package nearest

// MaxName bounds the names that are compared, in bytes.
const MaxName = 100

// Of returns the candidate with the least distance to name, if that is at most
// within; of equals the first. It returns "" when nothing comes near or name is
// too long to be one.
func Of(name string, candidates []string, within int) string {
	if len(name) > MaxName {
		return ""
	}
	best, least := "", within+1
	for _, c := range candidates {
		if d := Distance(name, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// Distance is the edit distance of Levenshtein (1966) in bytes, by the row-wise
// method of Wagner and Fischer (1974), in time len(a)·len(b).
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}
