package fakeaws_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
)

// TestEveryMoveOfALabelIsAnsweredAsByAWS compares the moves of staging labels with the
// recorded answers of AWS [localstack test_secretsmanager.snapshot.json] and the service
// model.
func TestEveryMoveOfALabelIsAnsweredAsByAWS(t *testing.T) {
	t.Parallel()
	type call func(context.Context, *world) error
	put := func(version string, stages ...string) call {
		return func(ctx context.Context, w *world) error {
			return w.put(ctx, "s", version, "value of "+version, stages...)
		}
	}
	stage := func(label, from, to string) call {
		return func(ctx context.Context, w *world) error { return w.stage(ctx, "s", label, from, to) }
	}
	tests := map[string]struct {
		setup []call
		last  call
		code  string
		text  string
		want  string
	}{
		"first value is current whatever was asked": {
			last: put("v1", "MINE"), want: "v1:AWSCURRENT+MINE"},
		"no stages means current, previous follows": {
			setup: []call{put("v1")}, last: put("v2"), want: "v1:AWSPREVIOUS v2:AWSCURRENT"},
		"the third put leaves the first without labels": {
			setup: []call{put("v1"), put("v2")}, last: put("v3"), want: "v1: v2:AWSPREVIOUS v3:AWSCURRENT"},
		"stages on a put move without comparing": {
			setup: []call{put("v1"), put("v2", "one", "two", "three")}, last: put("v3", "four", "one", "two"),
			want: "v1:AWSCURRENT v2:three v3:four+one+two"},
		"current moved by a put": {
			setup: []call{put("v1"), put("v2", "X")}, last: put("v3", "AWSCURRENT"),
			want: "v1:AWSPREVIOUS v2:X v3:AWSCURRENT"},
		"promotion keeps pending": {
			setup: []call{put("v1"), put("v2", "AWSPENDING")}, last: stage("AWSCURRENT", "v1", "v2"),
			want: "v1:AWSPREVIOUS v2:AWSCURRENT+AWSPENDING"},
		"pending leaves when current moves off, labels of one's own stay": {
			setup: []call{put("v1"), put("v2", "AWSPENDING", "AWSSOMETHING", "PUT1"), stage("AWSCURRENT", "v1", "v2")},
			last:  put("v3", "AWSCURRENT"), want: "v1: v2:AWSPREVIOUS+AWSSOMETHING+PUT1 v3:AWSCURRENT"},
		"going back swaps current and previous": {
			setup: []call{put("v1"), put("v2")}, last: stage("AWSCURRENT", "v2", "v1"),
			want: "v1:AWSCURRENT v2:AWSPREVIOUS"},
		"a label without a version needs no RemoveFrom": {
			setup: []call{put("v1")}, last: stage("X", "", "v1"), want: "v1:AWSCURRENT+X"},
		"attaching to the version that has the label is not refused": {
			setup: []call{put("v1"), put("v2", "X")}, last: stage("X", "", "v2"), want: "v1:AWSCURRENT v2:X"},
		"label removed": {
			setup: []call{put("v1"), put("v2", "X")}, last: stage("X", "v2", ""), want: "v1:AWSCURRENT v2:"},
		"held label without RemoveFrom": {
			setup: []call{put("v1"), put("v2", "X")}, last: stage("X", "", "v1"),
			code: "InvalidParameterException",
			text: "The parameter RemoveFromVersionId can't be empty. Staging label X is currently attached to version " + *id("v2") + ", so you must explicitly reference that version in RemoveFromVersionId.",
			want: "v1:AWSCURRENT v2:X"},
		"wrong RemoveFrom": {
			setup: []call{put("v1"), put("v2"), put("v3", "AWSPENDING")}, last: stage("AWSCURRENT", "v1", "v3"),
			code: "InvalidParameterException", want: "v1:AWSPREVIOUS v2:AWSCURRENT v3:AWSPENDING"},
		"RemoveFrom of a label without a version": {
			setup: []call{put("v1")}, last: stage("X", "v1", ""),
			code: "InvalidParameterException", want: "v1:AWSCURRENT"},
		"unknown RemoveFrom": {
			setup: []call{put("v1")}, last: stage("AWSCURRENT", "nobody", "v1"),
			code: "ResourceNotFoundException", want: "v1:AWSCURRENT"},
		"unknown MoveTo changes nothing": {
			setup: []call{put("v1")}, last: stage("AWSCURRENT", "v1", "nobody"),
			code: "ResourceNotFoundException", want: "v1:AWSCURRENT"},
		"current can't be removed": {
			setup: []call{put("v1")}, last: stage("AWSCURRENT", "v1", ""),
			code: "InvalidParameterException",
			text: "You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.",
			want: "v1:AWSCURRENT"},
		"neither RemoveFrom nor MoveTo": {
			setup: []call{put("v1")}, last: stage("X", "", ""),
			code: "InvalidParameterException", want: "v1:AWSCURRENT"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fakeaws.Options{})
			w.empty("s")
			for _, call := range test.setup {
				if err := call(t.Context(), w); err != nil {
					t.Fatal(err)
				}
			}
			err := test.last(t.Context(), w)
			check(t, "code", test.code, code(err))
			if test.text != "" {
				check(t, "message", test.text, message(err))
			}
			check(t, "labels", test.want, w.labels("s"))
		})
	}
}

func TestTheTwentyFirstLabelIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	if err := w.put(t.Context(), "s", "v1", "1"); err != nil {
		t.Fatal(err)
	}
	for i := range 19 { // with AWSCURRENT, 20
		if err := w.stage(t.Context(), "s", fmt.Sprint("L", i), "", "v1"); err != nil {
			t.Fatal(err)
		}
	}
	before := w.labels("s")
	check(t, "21st label", "LimitExceededException", code(w.stage(t.Context(), "s", "L19", "", "v1")))
	check(t, "put that needs AWSPREVIOUS", "LimitExceededException", code(w.put(t.Context(), "s", "v2", "2")))
	check(t, "labels", before, w.labels("s"))
}

func TestLabelMoveLeavesLastChangedDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	if err := w.put(t.Context(), "s", "v1", "1"); err != nil {
		t.Fatal(err)
	}
	before := w.Secret("s").LastChangedDate
	w.clock.Advance(time.Hour)
	if err := w.stage(t.Context(), "s", "X", "", "v1"); err != nil {
		t.Fatal(err)
	}
	check(t, "after a label move", before, w.Secret("s").LastChangedDate)
	if err := w.put(t.Context(), "s", "v2", "2"); err != nil {
		t.Fatal(err)
	}
	check(t, "after a put", w.clock.Now(), w.Secret("s").LastChangedDate)
}

// TestOnlyOneOfManyPromotionsSucceeds lets many promote from the same base; the label moves once.
func TestOnlyOneOfManyPromotionsSucceeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	const racers = 8
	for i := range racers {
		if err := w.put(t.Context(), "s", fmt.Sprint("v", i), fmt.Sprint(i), fmt.Sprint("MINE", i)); err != nil {
			t.Fatal(err)
		}
	}
	var won atomic.Int32
	var group sync.WaitGroup
	for i := 1; i < racers; i++ {
		group.Go(func() {
			if w.stage(t.Context(), "s", "AWSCURRENT", "v0", fmt.Sprint("v", i)) == nil {
				won.Add(1)
			}
		})
	}
	group.Wait()
	check(t, "winners", int32(1), won.Load())
}
