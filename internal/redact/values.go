package redact

import "net/url"

// Values are the parameters of a request, like [url.Values], but no formatter prints their
// values. The names are not secret. A nil Values is empty; [Values.Set] and [Values.Add]
// need a Values made with make.
type Values map[string][]Secret

// ValuesOf wraps the values of v.
func ValuesOf(v url.Values) Values {
	out := make(Values, len(v))
	for name, values := range v {
		for _, value := range values {
			out.Add(name, value)
		}
	}
	return out
}

// Reveal returns a copy of the parameters. Call it only where they go onto the wire.
func (v Values) Reveal() url.Values {
	out := make(url.Values, len(v))
	for name, values := range v {
		for _, value := range values {
			out.Add(name, value.Reveal())
		}
	}
	return out
}

// Get returns the first value of a parameter, empty if there is none.
func (v Values) Get(name string) string {
	if len(v[name]) == 0 {
		return ""
	}
	return v[name][0].Reveal()
}

// Set replaces all values of a parameter with one.
func (v Values) Set(name, value string) { v[name] = []Secret{New(value)} }

// Add appends a value to a parameter.
func (v Values) Add(name, value string) { v[name] = append(v[name], New(value)) }

// Has reports whether the parameter has a value.
func (v Values) Has(name string) bool { return len(v[name]) > 0 }
