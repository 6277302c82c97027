package fakeaws

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

type deleteSecret struct {
	secretID
	RecoveryWindowInDays       *int64
	ForceDeleteWithoutRecovery bool
}

func (in *deleteSecret) apply(s *Server, st *state) (any, error) {
	days := int64(30)
	if in.RecoveryWindowInDays != nil {
		days = *in.RecoveryWindowInDays
		if in.ForceDeleteWithoutRecovery {
			return nil, refuse("InvalidParameterException",
				"You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		}
		if days < 7 || days > 30 {
			return nil, refuse("InvalidParameterException",
				"The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
		}
	}
	now := st.now()
	x, err := st.existing(in.SecretId)
	if err != nil {
		if !in.ForceDeleteWithoutRecovery {
			return nil, err
		}
		// Deleting by force what does not exist succeeds [botocore secretsmanager
		// DeleteSecret.ForceDeleteWithoutRecovery].
		arn := fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s", s.options.Region,
			s.options.Account, in.SecretId)
		return named{ARN: arn, Name: in.SecretId, DeletionDate: timestamp(now)}, nil
	}
	if x.primaryRegion != "" {
		return nil, errReplica()
	}
	if in.ForceDeleteWithoutRecovery {
		s.remove(x.name)
		return named{ARN: x.arn, Name: x.name, DeletionDate: timestamp(now)}, nil
	}
	if !x.deleteAt.IsZero() {
		return nil, errDeleted()
	}
	next := x.clone()
	next.deleteAt = now.Add(time.Duration(days) * 24 * time.Hour)
	next.changed = now
	s.commit(next)
	return named{ARN: next.arn, Name: next.name, DeletionDate: timestamp(next.deleteAt)}, nil
}

type restoreSecret struct{ secretID }

func (in *restoreSecret) apply(s *Server, st *state) (any, error) {
	x, err := st.existing(in.SecretId)
	if err != nil {
		return nil, err
	}
	if !x.deleteAt.IsZero() {
		next := x.clone()
		next.deleteAt = time.Time{}
		next.changed = st.now()
		s.commit(next)
	}
	return named{ARN: x.arn, Name: x.name}, nil
}

// maxTags is the quota of tags per secret
// [https://docs.aws.amazon.com/general/latest/gr/aws_tagging.html].
const maxTags = 50

type tagResource struct {
	secretID
	Tags []tag `required:"true"`
}

func (in *tagResource) apply(s *Server, st *state) (any, error) {
	next, err := st.writable(in.SecretId)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Tags {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, refuse("InvalidParameterException", "Tag keys can't start with aws:.")
		}
		at := slices.IndexFunc(next.tags, func(old tag) bool { return old.Key == t.Key })
		if at < 0 {
			next.tags = append(next.tags, t)
		} else {
			next.tags[at] = t
		}
	}
	if len(next.tags) > maxTags {
		return nil, refuse("InvalidParameterException", "You can't attach more than %d tags to a secret.", maxTags)
	}
	next.changed = st.now()
	s.commit(next)
	return struct{}{}, nil
}

type untagResource struct {
	secretID
	TagKeys []string `required:"true" each:"1,128"`
}

func (in *untagResource) apply(s *Server, st *state) (any, error) {
	next, err := st.writable(in.SecretId)
	if err != nil {
		return nil, err
	}
	next.tags = slices.DeleteFunc(next.tags, func(t tag) bool { return slices.Contains(in.TagKeys, t.Key) })
	next.changed = st.now()
	s.commit(next)
	return struct{}{}, nil
}
