package fakeaws

import (
	"slices"
	"time"
)

const (
	// maxLabels and maxVersions are quotas per secret
	// [https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html].
	maxLabels   = 20
	maxVersions = 100
	// youngest is the age below which a version is never removed [botocore
	// secretsmanager PutSecretValue].
	youngest = 24 * time.Hour
)

func (v *version) detach(label string) {
	v.labels = slices.DeleteFunc(v.labels, func(l string) bool { return l == label })
}

func (v *version) attach(label string) {
	if at, found := slices.BinarySearch(v.labels, label); !found {
		v.labels = slices.Insert(v.labels, at, label)
	}
}

// move gives label to the version to, or to none if to is nil, with what follows from it:
// AWSPREVIOUS goes where AWSCURRENT came from, and AWSPENDING leaves that version, while
// other labels stay [recorded test_update_secret_version_stages_current_pending and
// ..._current_pending_cycle_custom_stages_1, _2].
func (x *secret) move(label string, to *version) {
	from := x.withLabel(label)
	if from == to {
		return
	}
	if from != nil {
		from.detach(label)
	}
	if to != nil {
		to.attach(label)
	}
	if label != current || from == nil {
		return
	}
	from.detach(pending)
	if old := x.withLabel(previous); old != nil {
		old.detach(previous)
	}
	from.attach(previous)
}

// checkLabels enforces the quota of labels attached to all versions together.
func (x *secret) checkLabels() error {
	labels := 0
	for _, v := range x.versions {
		labels += len(v.labels)
	}
	if labels > maxLabels {
		return refuse("LimitExceededException",
			"You can't attach more than %d staging labels to the versions of a secret.", maxLabels)
	}
	return nil
}

// addVersion appends an empty version. With the quota reached it first removes
// the oldest versions that may go: those without a label and at least a day old.
func (x *secret) addVersion(id string, now time.Time) (*version, error) {
	removable := func(v *version) bool { return len(v.labels) == 0 && now.Sub(v.created) >= youngest }
	for len(x.versions) >= maxVersions {
		at := slices.IndexFunc(x.versions, removable)
		if at < 0 {
			return nil, refuse("LimitExceededException",
				"You've reached the quota of %d versions for this secret. Versions with staging labels and versions created in the last 24 hours are not removed.", maxVersions)
		}
		x.versions = slices.Delete(x.versions, at, at+1)
	}
	added := &version{id: id, created: now}
	x.versions = append(x.versions, added)
	return added, nil
}

type updateSecretVersionStage struct {
	secretID
	VersionStage        string  `required:"true" size:"1,256"`
	RemoveFromVersionId *string `size:"32,64"`
	MoveToVersionId     *string `size:"32,64"`
}

func (in *updateSecretVersionStage) apply(s *Server, st *state) (any, error) {
	next, err := st.writable(in.SecretId)
	if err != nil {
		return nil, err
	}
	if in.RemoveFromVersionId == nil && in.MoveToVersionId == nil {
		return nil, refuse("InvalidParameterException",
			"You must provide at least one of RemoveFromVersionId and MoveToVersionId.")
	}
	if in.VersionStage == current && in.MoveToVersionId == nil {
		// The text is quoted in github.com/hashicorp/terraform-provider-aws,
		// internal/service/secretsmanager/secret_version.go.
		return nil, refuse("InvalidParameterException",
			"You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.")
	}
	var to *version
	if in.MoveToVersionId != nil {
		if to = next.version(*in.MoveToVersionId); to == nil {
			return nil, errNoVersion(*in.MoveToVersionId)
		}
	}
	if err := in.compare(next, to); err != nil {
		return nil, err
	}
	next.move(in.VersionStage, to)
	if err := next.checkLabels(); err != nil {
		return nil, err
	}
	s.commit(next)
	return named{ARN: next.arn, Name: next.name}, nil
}

// compare is the condition of the compare-and-swap: the version to remove the label from
// must be the one that has it [botocore secretsmanager
// UpdateSecretVersionStage.RemoveFromVersionId]. Attaching a label to the version that
// has it succeeds, see the package comment.
func (in *updateSecretVersionStage) compare(x *secret, to *version) error {
	labelled := x.withLabel(in.VersionStage)
	if in.RemoveFromVersionId == nil {
		if labelled == nil || labelled == to {
			return nil
		}
		return refuse("InvalidParameterException",
			"The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", in.VersionStage, labelled.id)
	}
	from := x.version(*in.RemoveFromVersionId)
	switch {
	case from == nil:
		return errNoVersion(*in.RemoveFromVersionId)
	case labelled == nil:
		return refuse("InvalidParameterException",
			"Staging label %s isn't currently attached to version %s.", in.VersionStage, from.id)
	case labelled != from:
		return refuse("InvalidParameterException",
			"When you move staging label %s, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label %s.", in.VersionStage, in.VersionStage)
	}
	return nil
}

func errNoVersion(id string) error {
	return refuse("ResourceNotFoundException",
		"Secrets Manager can't find the specified secret value for VersionId: %s", id)
}
