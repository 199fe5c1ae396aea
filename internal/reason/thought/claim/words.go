package claim

import (
	"strings"
	"unicode/utf8"
)

// set makes a lookup table of words.
func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// The word lists are English, the language that models mostly reason in. Words of
// other languages are unknown words: the claim is still checked.
var (
	numerals = set(`zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty
		hundred thousand million billion trillion dozen half quarter`)

	// operators change the number after them: "3 times 4 + 2 = 14".
	operators = set(`times plus minus over of by per root sqrt cbrt log ln lg lb sin cos tan sec csc cot asin acos atan
		arcsin arccos arctan sinh cosh tanh exp abs floor ceil ceiling round sgn max min mod modulo rem remainder div average
		avg mean median mode variance gcd lcm hcf twice double triple thrice third squared cubed power percent percentage
		than from with add adding subtract subtracting multiply multiplying multiplied divide divided dividing choose base
		negative det factorial point`)

	// hedges put the claim in question, or in somebody else's mouth.
	hedges = set(`if suppose supposing assume assuming assumed whether unless imagine pretend hypothetically not never
		wrong false to approximately approx about roughly around nearly almost between`)

	// scales change the number before them: "= 3 thousand".
	scales = set(`times plus minus over mod modulo of hundred thousand million billion trillion dozen percent percentage
		squared cubed factorial choose divided multiplied`)

	// vague words say that the number before them is not exact, or not all.
	vague = set(`approximately approx roughly about ish rounded nearly almost remainder rem rest with if when assuming unless`)

	// roundings, anywhere in a text, make a whole number of a fraction plausible.
	roundings = set(`round rounds rounded rounding floor floored ceil ceiling integer integers truncate truncated truncates
		truncating truncation whole quotient approximately approx about roughly estimate estimated`)

	// units can make a true statement of two different numbers: "2*30 = 1 hour".
	units = set(`s sec secs second seconds ms min mins minute minutes h hr hrs hour hours d day days week weeks month months
		year years decade decades mm cm dm m km meter meters metre metres inch inches ft feet foot yd yard yards mile miles
		mg g kg gram grams kilogram kilograms lb lbs pound pounds oz ounce ounces ton tons tonne tonnes ml cl l liter liters
		litre litres gallon gallons cup cups bit bits byte bytes kb mb gb tb kib mib gib hz khz mhz ghz degree degrees radian
		radians rad deg cent cents penny pence dollar dollars euro euros usd eur gbp k bn mn pp bp bps ppm pair pairs per
		score gross unit units`)

	arithmetics = set(`mod modulo modular binary octal hex hexadecimal xor bitwise radix ternary floating float floats ieee
		overflow overflows saturating`)
)

func lower(s string) string {
	if len(s) > 32 {
		return "…"
	}
	return strings.ToLower(s)
}

func lastRune(s string) rune {
	r, _ := utf8.DecodeLastRuneInString(s)
	return r
}

// leads grades a word in front of an expression.
func leads(text string) grade {
	w := lower(text)
	switch {
	case operators[w] || numerals[w]:
		return unknown
	case hedges[w]:
		return doubtful
	case utf8.RuneCountInString(w) == 1 && w != "a" && w != "i" && !dense(lastRune(w)):
		return unknown // a variable, or the x of a product
	}
	return clear
}

// trails grades a word behind an expression.
func trails(text string) grade {
	w := lower(text)
	switch {
	case scales[w]:
		return unknown
	case vague[w] || units[w]:
		return doubtful
	case utf8.RuneCountInString(w) == 1 && w != "a" && w != "i" && !dense(lastRune(w)), isDigit(lastRune(w)):
		return doubtful // a unit, or the R1 of a remainder
	}
	return clear
}

// survey looks through all words of the text for those that change what numbers
// mean wherever they stand: an arithmetic in which 9 + 5 may be 2, and rounding.
func (s *scanner) survey() {
	for i, t := range s.tokens {
		if t.kind != word {
			continue
		}
		w := lower(s.text[t.start:t.end])
		s.rounds = s.rounds || roundings[w]
		if s.otherwise == "" && (arithmetics[w] || w == "base" && s.numbered(i+1)) {
			s.otherwise = "the text speaks of another arithmetic (" + w + ")"
		}
	}
}

// numbered reports whether a number, in digits or letters, stands at token i or
// behind the hyphen there.
func (s *scanner) numbered(i int) bool {
	for ; i < len(s.tokens); i++ {
		t := s.tokens[i]
		if t.kind == sign && t.op == '-' && !t.spaced {
			continue
		}
		return t.kind == number || t.kind == word && numerals[lower(s.text[t.start:t.end])]
	}
	return false
}
