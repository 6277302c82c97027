package template

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/scanner"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// expression evaluates the part of CloudWatch's metric math that the template
// uses. A time series is its points, newest first.
type expression struct {
	scanner.Scanner
	token  rune
	values map[string][]float64
	count  int
	reading
}

func evaluate(text string, values map[string][]float64, count int, r reading) []float64 {
	e := &expression{values: values, count: count, reading: r}
	e.Init(strings.NewReader(text))
	e.next()
	out := e.comparison()
	if e.token != scanner.EOF {
		panic(fmt.Sprintf("unexpected %q in %s", e.TokenText(), text))
	}
	return out
}

func (e *expression) next() { e.token = e.Scan() }

func (e *expression) take(token rune) {
	if e.token != token {
		panic(fmt.Sprintf("%q where %q should be", e.TokenText(), string(token)))
	}
	e.next()
}

func (e *expression) comparison() []float64 {
	left := e.sum()
	if e.token != '<' {
		return left
	}
	e.next()
	return e.each(left, e.sum(), func(a, b float64) float64 {
		if a < b {
			return 1
		}
		return 0
	})
}

func (e *expression) sum() []float64 {
	left := e.operand()
	for e.token == '+' {
		e.next()
		left = e.each(left, e.operand(), func(a, b float64) float64 { return a + b })
	}
	return left
}

// each is missing where either side is.
func (e *expression) each(a, b []float64, f func(a, b float64) float64) []float64 {
	out := make([]float64, e.count)
	for i := range out {
		if out[i] = missing; !isMissing(a[i]) && !isMissing(b[i]) {
			out[i] = f(a[i], b[i])
		}
	}
	return out
}

func (e *expression) operand() []float64 {
	text := e.TokenText()
	switch e.token {
	case scanner.Int:
		e.next()
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(err)
		}
		return slices.Repeat([]float64{v}, e.count)
	case scanner.Ident:
		e.next()
		if e.token == '(' {
			return e.call(text)
		}
		if v, ok := e.values[text]; ok {
			return v
		}
	}
	panic("no operand: " + text)
}

func (e *expression) call(function string) []float64 {
	var args [][]float64
	e.take('(')
	for e.token != ')' {
		args = append(args, e.comparison())
		if e.token == ',' {
			e.next()
		}
	}
	e.take(')')
	out := make([]float64, e.count)
	switch function {
	case "FILL":
		none := !slices.ContainsFunc(args[0], func(v float64) bool { return !isMissing(v) })
		for i := range out {
			if out[i] = args[0][i]; isMissing(out[i]) && (!none || e.fillsNothing) {
				out[i] = args[1][i]
			}
		}
	case "DIFF":
		for i := range out {
			if out[i] = missing; i+1 < e.count {
				out[i] = args[0][i] - args[0][i+1] // missing where either is
			}
		}
	case "IF":
		for i := range out {
			switch {
			case isMissing(args[0][i]):
				out[i] = missing
			case args[0][i] != 0:
				out[i] = args[1][i]
			default:
				out[i] = args[2][i]
			}
		}
	default:
		panic("no function " + function)
	}
	return out
}

func TestMetricExpressionsAreComputedAsByCloudWatch(t *testing.T) {
	t.Parallel()
	r := readings()[0]
	filling := reading{r.beyond, true}
	values := map[string][]float64{"m": {3, missing, 5, 4}, "none": {missing, missing, missing, missing}}
	for _, tt := range []struct {
		text string
		r    reading
		want []float64
	}{
		{"m", r, []float64{3, missing, 5, 4}},
		{"FILL(m, 0)", r, []float64{3, 0, 5, 4}},
		{"FILL(none, 0)", r, []float64{missing, missing, missing, missing}},
		{"FILL(none, 7)", filling, []float64{7, 7, 7, 7}},
		{"FILL(m, 0) + FILL(m, 1)", r, []float64{6, 1, 10, 8}},
		{"DIFF(m)", r, []float64{missing, missing, 1, missing}},
		{"DIFF(FILL(m, 0)) < 0", r, []float64{0, 1, 0, missing}},
		{"IF(m < 4, 1, IF(DIFF(m) < 0, 1, 0))", r, []float64{1, missing, 0, missing}},
	} {
		if diff := cmp.Diff(tt.want, evaluate(tt.text, values, 4, tt.r), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}
