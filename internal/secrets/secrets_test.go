package secrets_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func TestABatchReadsEverySecretOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ids []string
	for i := range 45 {
		name := fmt.Sprintf("s/%02d", i)
		w.secret(name, "value of "+name)
		ids = append(ids, name)
	}
	w.CreateSecret("empty", nil, nil)
	byARN := w.secret("by-arn", "value of by-arn")
	partial := byARN[:len(byARN)-len("-AbCdEf")]
	asked := append(slices.Clone(ids), ids[3], ids[3], "absent", "empty", byARN, partial)
	w.Inject(&fakeaws.Fault{Operation: "BatchGetSecretValue", Resource: "s/30", Code: "DecryptionFailure"})

	got := w.store.Batch(t.Context(), asked)
	if len(got) != 45+4 {
		t.Errorf("%d answers", len(got))
	}
	for _, id := range ids {
		if id == "s/30" {
			wantKind(t, got[id].Err, secrets.ErrKMS)
			continue
		}
		v := got[id].Version
		if got[id].Err != nil || v.Value.Reveal() != "value of "+id || v.ID == "" || v.ARN == "" ||
			!v.Created.Equal(w.clock.Now()) || !slices.Contains(v.Labels, secrets.Current) {
			t.Errorf("%s: %+v", id, got[id])
		}
	}
	for _, id := range []string{byARN, partial} {
		if got[id].Err != nil || got[id].Version.Value.Reveal() != "value of by-arn" {
			t.Errorf("by ARN: %+v", got[id])
		}
	}
	wantKind(t, got["absent"].Err, secrets.ErrNotFound)
	wantKind(t, got["empty"].Err, secrets.ErrNotFound)
	if n := w.counted("BatchGetSecretValue"); n != 3 {
		t.Errorf("49 secrets in %d calls, want 3", n)
	}
	if got := w.store.Batch(t.Context(), nil); len(got) != 0 {
		t.Errorf("none asked for, %d answers", len(got))
	}
}

func TestAFailedCallFailsOnlyItsSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ids []string
	for i := range 25 {
		ids = append(ids, fmt.Sprintf("s/%02d", i))
		w.secret(ids[i], "v")
	}
	w.Inject(&fakeaws.Fault{Operation: "BatchGetSecretValue", Code: "AccessDeniedException", Times: 1})
	got := w.store.Batch(t.Context(), ids)
	first, rest := secrets.ErrorKind(got[ids[0]].Err), secrets.ErrorKind(got[ids[24]].Err)
	if (first == secrets.ErrDenied) == (rest == secrets.ErrDenied) { // either call may be the first
		t.Errorf("one of two calls was refused: %q and %q", first, rest)
	}
	for i, id := range ids {
		if want := map[bool]secrets.Kind{true: first, false: rest}[i < 20]; secrets.ErrorKind(got[id].Err) != want {
			t.Errorf("%s: %v, want as its whole call: %q", id, got[id].Err, want)
		}
	}
}

func TestAVersionIsReadByItsLabel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arn := w.secret("a", "one")
	first := w.Secret("a").Versions[0].ID
	w.clock.Advance(time.Hour)
	second := w.put(t, "a", "two")
	got, err := w.store.Get(t.Context(), "a", secrets.Current)
	wantKind(t, err, nil)
	if got.ARN != arn || got.ID != second || got.Value.Reveal() != "two" ||
		!got.Created.Equal(w.clock.Now()) || !slices.Equal(got.Labels, []string{secrets.Current}) {
		t.Errorf("AWSCURRENT: %+v", got)
	}
	got, err = w.store.Get(t.Context(), arn, secrets.Previous)
	wantKind(t, err, nil)
	if got.ID != first || got.Value.Reveal() != "one" {
		t.Errorf("AWSPREVIOUS: %+v", got)
	}
	got, err = w.store.GetVersion(t.Context(), "a", first)
	wantKind(t, err, nil)
	if got.Value.Reveal() != "one" {
		t.Errorf("by id: %+v", got)
	}
	_, err = w.store.Get(t.Context(), "a", secrets.Pending)
	wantKind(t, err, secrets.ErrNotFound)
	_, err = w.store.GetVersion(t.Context(), "a", secrets.FreshID())
	wantKind(t, err, secrets.ErrNotFound)
	_, err = w.store.Get(t.Context(), "absent", secrets.Current)
	wantKind(t, err, secrets.ErrNotFound)
}

func TestABinarySecretIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.sm.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("b"), SecretBinary: []byte("canary")}); err != nil {
		t.Fatalf("CreateSecret: %v", err)
	}
	_, err := w.store.Get(t.Context(), "b", secrets.Current)
	wantKind(t, err, secrets.ErrBinary)
	wantKind(t, w.store.Batch(t.Context(), []string{"b"})["b"].Err, secrets.ErrBinary)
}

func TestADescriptionHasLabelsTagsAndTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	value := "one"
	arn := w.CreateSecret("a", &value, map[string]string{"evertoken:parameter": "/evertoken/connections/a"})
	first := w.Secret("a").Versions[0].ID
	w.clock.Advance(time.Hour)
	second := w.put(t, "a", "two", secrets.Current, "EVERTOKEN_EXCHANGE")
	got, err := w.store.Describe(t.Context(), "a")
	wantKind(t, err, nil)
	for id := range got.Labels {
		slices.Sort(got.Labels[id])
	}
	want := secrets.Description{
		ARN: arn, Name: "a", LastChanged: w.clock.Now(), Tags: map[string]string{"evertoken:parameter": "/evertoken/connections/a"},
		Labels: map[string][]string{first: {secrets.Previous}, second: {secrets.Current, "EVERTOKEN_EXCHANGE"}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Errorf("Describe (-want +got):\n%s", diff)
	}
	if got.Holder(secrets.Current) != second || got.Holder(secrets.Previous) != first ||
		got.Holder(secrets.Pending) != "" {
		t.Errorf("holders of %v", got.Labels)
	}
	if diff := cmp.Diff(map[string]string{"EVERTOKEN_EXCHANGE": second}, got.Prefixed("EVERTOKEN_")); diff != "" {
		t.Errorf("Prefixed (-want +got):\n%s", diff)
	}

	w.SetReplica("a", "eu-west-1")
	if got, err = w.store.Describe(t.Context(), "a"); err != nil || got.PrimaryRegion != "eu-west-1" {
		t.Errorf("a replica: %+v, %v", got, err)
	}
	w.SetReplica("a", "us-east-1") // its own Region: this is the primary
	if got, err = w.store.Describe(t.Context(), "a"); err != nil || got.PrimaryRegion != "" {
		t.Errorf("a primary: %+v, %v", got, err)
	}
}

func TestADeletedSecretIsReportedAsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("a", "v")
	if _, err := w.sm.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("a")}); err != nil {
		t.Fatalf("DeleteSecret: %v", err)
	}
	_, err := w.store.Describe(t.Context(), "a")
	wantKind(t, err, secrets.ErrDeleted)
	_, err = w.store.Get(t.Context(), "a", secrets.Current)
	wantKind(t, err, secrets.ErrDeleted)
	wantKind(t, w.store.Put(t.Context(), "a", secrets.FreshID(), redact.New("x")), secrets.ErrDeleted)
}

func TestAPutRepeatedWithItsIDChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arn := w.secret("a", "one")
	id := secrets.DeriveID(arn, w.Secret("a").Versions[0].ID, "token")
	for range 3 {
		wantKind(t, w.store.Put(t.Context(), "a", id, redact.New("two")), nil)
	}
	if got := w.Secret("a"); len(got.Versions) != 2 {
		t.Errorf("%d versions", len(got.Versions))
	}
	wantKind(t, w.store.Put(t.Context(), "a", id, redact.New("three")), secrets.ErrConflict)
	v, err := w.store.Get(t.Context(), "a", secrets.Current)
	if err != nil || v.Value.Reveal() != "two" {
		t.Errorf("after a conflict: %+v, %v", v, err)
	}
	// With a label of its own AWSCURRENT stays where it is.
	w.put(t, "a", "beside", "EVERTOKEN_KEPT")
	if v, err = w.store.Get(t.Context(), "a", secrets.Current); err != nil || v.Value.Reveal() != "two" {
		t.Errorf("after another put: %+v, %v", v, err)
	}
}

func TestALabelMovesOnlyFromWhereItWas(t *testing.T) {
	t.Parallel()
	const label = "EVERTOKEN_EXCHANGE"
	w := newWorld(t)
	w.secret("a", "one")
	first := w.Secret("a").Versions[0].ID
	second := w.put(t, "a", "two")
	third := w.put(t, "a", "three")
	steps := []struct {
		name, to, from string
		kind           error
		holder         string
	}{
		{"attach", first, "", nil, first},
		{"attach without naming the holder", second, "", secrets.ErrLabelMoved, first},
		{"move from the holder", second, first, nil, second},
		{"the second of two claimants", third, first, secrets.ErrLabelMoved, second},
		{"remove from another version", "", third, secrets.ErrLabelMoved, second},
		{"remove", "", second, nil, ""},
		{"move a label without a version", third, second, secrets.ErrLabelMoved, ""},
		{"onto no version", secrets.FreshID(), "", secrets.ErrNotFound, ""},
	}
	for _, s := range steps {
		wantKind(t, w.store.MoveLabel(t.Context(), "a", label, s.to, s.from), s.kind)
		d, err := w.store.Describe(t.Context(), "a")
		wantKind(t, err, nil)
		if got := d.Holder(label); got != s.holder {
			t.Errorf("%s: the label is on %q, want %q", s.name, got, s.holder)
		}
	}
}

func TestVersionsAreListedFromTheNewest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("a", "0")
	began := w.clock.Now()
	var want []string
	for i := range 60 {
		w.clock.Advance(10 * time.Minute)
		want = append(want, w.put(t, "a", fmt.Sprint(i+1)))
	}
	n, err := w.store.VersionsSince(t.Context(), "a", began)
	if err != nil || n != 60 {
		t.Errorf("VersionsSince the beginning = %d, %v", n, err)
	}
	if n, err = w.store.VersionsSince(t.Context(), "a", w.clock.Now().Add(-time.Hour)); err != nil || n != 6 {
		t.Errorf("VersionsSince an hour ago = %d, %v", n, err)
	}
	all, err := w.store.Versions(t.Context(), "a")
	wantKind(t, err, nil)
	slices.Reverse(want)
	var got []string
	for _, v := range all[:60] {
		got = append(got, v.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Versions, newest first (-want +got):\n%s", diff)
	}
	if !slices.Equal(all[0].Labels, []string{secrets.Current}) || len(all[2].Labels) != 0 {
		t.Errorf("labels %v, %v", all[0].Labels, all[2].Labels)
	}
	if at, err := w.store.LastRotated(t.Context(), "a"); err != nil || !at.IsZero() {
		t.Errorf("LastRotated of a secret that never was = %s, %v", at, err)
	}
}

// uuid is the form that Secrets Manager's SDKs give a ClientRequestToken.
var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// The ids were made with printf 'arn\000base\000purpose' | sha256sum, the first 32
// digits. They must never change: a retry after an update of the function must
// find the version that the older one put.
func TestADerivedIDNeverChanges(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
	tests := []struct{ arn, base, purpose, want string }{
		{arn, "", "opening", "178803c9-80b8-eebc-d192-ba9f8db4e3fb"},
		{arn, "11111111-2222-3333-4444-555555555555", "session", "635f30df-1c24-7adb-dda2-31fc01730c68"},
		{arn, "11111111-2222-3333-4444-555555555555", "token", "8d5d5ec1-8dcb-edef-aee0-4987fa55a86a"},
		{"", "", "", "96a296d2-24f2-85c6-7bee-93c30f8a3091"},
	}
	for _, tt := range tests {
		if got := secrets.DeriveID(tt.arn, tt.base, tt.purpose); got != tt.want || !uuid.MatchString(got) {
			t.Errorf("DeriveID(%q, %q, %q) = %s, want %s", tt.arn, tt.base, tt.purpose, got, tt.want)
		}
	}
	if secrets.DeriveID("a", "b", "c") == secrets.DeriveID("a", "bc", "") ||
		secrets.DeriveID("ab", "", "c") == secrets.DeriveID("a", "b", "c") {
		t.Error("the parts run into each other")
	}
}

func TestAFreshIDIsUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id := secrets.FreshID()
		if seen[id] || !uuid.MatchString(id) {
			t.Fatalf("FreshID = %s", id)
		}
		seen[id] = true
	}
}
