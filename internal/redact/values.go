package redact

import "net/url"

// Values are the parameters of a request, as [url.Values], whose values nothing
// prints. The names are no secrets. A nil Values is empty, and [Values.Set] and
// [Values.Add] need one that is made.
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

// Reveal returns the parameters themselves, a copy. Call it only where they go
// onto the wire.
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

// Set gives a parameter one value in place of all it had.
func (v Values) Set(name, value string) { v[name] = []Secret{New(value)} }

// Add adds a value to those that a parameter has.
func (v Values) Add(name, value string) { v[name] = append(v[name], New(value)) }

// Has reports whether the parameter is there.
func (v Values) Has(name string) bool { return len(v[name]) > 0 }
