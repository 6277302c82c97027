package fakeaws

import (
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
)

type filter struct {
	Key    string   `required:"true" oneOf:"description|name|tag-key|tag-value|primary-region|owning-service|all"`
	Values []string `required:"true" size:"1,10" each:"0,512"`
}

// matches reports whether x passes f: one of the values must fit. A value with
// "!" before it fits what does not have it. Names, tag keys and tag values are
// case-sensitive prefixes, descriptions are not case-sensitive [botocore
// secretsmanager Filter].
func (f filter) matches(x *secret) bool {
	return slices.ContainsFunc(f.Values, func(wanted string) bool {
		if negated, ok := strings.CutPrefix(wanted, "!"); ok {
			return !f.fits(x, negated)
		}
		return f.fits(x, wanted)
	})
}

func (f filter) fits(x *secret, wanted string) bool {
	byTag := func(text func(tag) string) bool {
		return slices.ContainsFunc(x.tags, func(t tag) bool { return strings.HasPrefix(text(t), wanted) })
	}
	switch f.Key {
	case "name":
		return strings.HasPrefix(x.name, wanted)
	case "description":
		return hasPrefixFold(x.description, wanted)
	case "tag-key":
		return byTag(func(t tag) string { return t.Key })
	case "tag-value":
		return byTag(func(t tag) string { return t.Value })
	case "primary-region":
		return x.primaryRegion != "" && strings.HasPrefix(x.primaryRegion, wanted)
	case "all":
		return hasPrefixFold(x.name, wanted) || hasPrefixFold(x.description, wanted) ||
			slices.ContainsFunc(x.tags,
				func(t tag) bool {
					return hasPrefixFold(t.Key, wanted) ||
						hasPrefixFold(t.Value, wanted)
				})
	default: // owning-service: no secret here belongs to a service
		return false
	}
}

func hasPrefixFold(s, prefix string) bool {
	return strings.HasPrefix(strings.ToLower(s), strings.ToLower(prefix))
}

// filtered returns the secrets that pass every filter, by name.
func (st *state) filtered(filters []filter, planned bool) []*secret {
	var found []*secret
	for _, name := range slices.Sorted(maps.Keys(st.secrets)) {
		x := st.secret(name)
		if x == nil || !x.deleteAt.IsZero() && !planned {
			continue
		}
		if !slices.ContainsFunc(filters, func(f filter) bool { return !f.matches(x) }) {
			found = append(found, x)
		}
	}
	return found
}

// paged cuts a page out of all, and makes the token for the next. limit is what
// was asked for, most what the operation gives without it.
func paged[T any](all []T, limit *int64, most int, token string) (page []T, next string, err error) {
	start := 0
	if token != "" {
		text, err := base64.StdEncoding.DecodeString(token)
		if err == nil {
			start, err = strconv.Atoi(string(text))
		}
		if err != nil || start < 0 || start > len(all) {
			return nil, "", refuse("InvalidNextTokenException", "Invalid NextToken.")
		}
	}
	if limit != nil {
		most = int(*limit)
	}
	end := min(start+most, len(all))
	if end < len(all) {
		next = base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(end)))
	}
	return append([]T{}, all[start:end]...), next, nil
}

type listSecrets struct {
	Filters                []filter `size:"0,10"`
	IncludePlannedDeletion bool
	MaxResults             *int64 `between:"1,100"`
	NextToken              string `size:"0,4096"`
	SortOrder              string `oneOf:"asc|desc"`
	SortBy                 string `oneOf:"created-date|last-accessed-date|last-changed-date|name"`
}

func (in *listSecrets) resources(*state) []string { return nil }

func (in *listSecrets) apply(s *Server, st *state) (any, error) {
	found := st.filtered(in.Filters, in.IncludePlannedDeletion)
	slices.SortStableFunc(found, func(a, b *secret) int {
		order := in.compare(s, a, b)
		if in.SortOrder != "asc" {
			order = -order
		}
		return order
	})
	page, next, err := paged(found, in.MaxResults, 100, in.NextToken)
	if err != nil {
		return nil, err
	}
	list := make([]description, len(page))
	for i, x := range page {
		list[i] = s.describe(x)
		list[i].SecretVersionsToStages = x.labelled()
	}
	return struct {
		SecretList []description
		NextToken  string `json:",omitempty"`
	}{list, next}, nil
}

func (in *listSecrets) compare(s *Server, a, b *secret) int {
	switch in.SortBy {
	case "name":
		return cmp.Compare(a.name, b.name)
	case "last-changed-date":
		return a.changed.Compare(b.changed)
	case "last-accessed-date":
		return s.accessed[accessKey{a.name, ""}].Compare(s.accessed[accessKey{b.name, ""}])
	default:
		return a.created.Compare(b.created)
	}
}

type batchGetSecretValue struct {
	SecretIdList []string `size:"1,20" each:"1,2048"`
	Filters      []filter `size:"0,10"`
	MaxResults   *int64   `between:"1,20"`
	NextToken    string   `size:"0,4096"`

	refused map[string]error // :: secret name → what a fault answers for it
}

type batchError struct{ SecretId, ErrorCode, Message string }

func (in *batchGetSecretValue) resources(st *state) []string {
	var names []string
	for _, id := range in.SecretIdList {
		names = append(names, st.nameOf(id))
	}
	for _, x := range st.selected(in.Filters) {
		names = append(names, x.name)
	}
	return names
}

// selected is what filters select; no filters select nothing.
func (st *state) selected(filters []filter) []*secret {
	if len(filters) == 0 {
		return nil
	}
	return st.filtered(filters, false)
}

func (in *batchGetSecretValue) apply(s *Server, st *state) (any, error) {
	ids, next := in.SecretIdList, ""
	switch {
	case len(in.SecretIdList) > 0 && len(in.Filters) > 0:
		return nil, refuse("InvalidParameterException",
			"Either 'SecretIdList' or 'Filters' must be provided, but not both.")
	case len(in.SecretIdList) == 0 && len(in.Filters) == 0:
		return nil, refuse("InvalidParameterException", "Either 'SecretIdList' or 'Filters' must be provided.")
	case len(in.SecretIdList) > 0 && in.MaxResults != nil:
		return nil, refuse("InvalidParameterException", "'Filters' must be provided if 'MaxResults' is provided.")
	case len(in.Filters) > 0:
		page, token, err := paged(st.selected(in.Filters), in.MaxResults, 20, in.NextToken)
		if err != nil {
			return nil, err
		}
		for _, x := range page {
			ids = append(ids, x.name)
		}
		next = token
	}
	out := struct {
		SecretValues []*secretValue
		Errors       []batchError `json:",omitempty"`
		NextToken    string       `json:",omitempty"`
	}{SecretValues: []*secretValue{}, NextToken: next}
	for _, id := range ids {
		found, err := in.one(s, st, id)
		if err != nil {
			refusal := err.(*apiError)
			out.Errors = append(out.Errors, batchError{id, refusal.code, refusal.message})
			continue
		}
		out.SecretValues = append(out.SecretValues, found)
	}
	return out, nil
}

// one reads the current value of one secret of the batch.
func (in *batchGetSecretValue) one(s *Server, st *state, id string) (*secretValue, error) {
	if err := in.refused[st.nameOf(id)]; err != nil {
		return nil, err
	}
	x, err := st.readable(id)
	if err != nil {
		return nil, err
	}
	v, err := (&getSecretValue{}).choose(x)
	if err != nil {
		return nil, err
	}
	return s.reveal(x, v)
}
