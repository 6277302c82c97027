package secrets

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// BatchSize is the most secrets that BatchGetSecretValue takes in a call
// (botocore model, SecretIdListType).
const BatchSize = 20

// sideBySide is how many calls of a batch run at the same time: enough to use up the quota
// if a call takes a tenth of a second.
const sideBySide = 10

// Read is the answer for one secret of a batch: a version or an error.
type Read struct {
	Version Version
	Err     error // an *Error
}

// Batch reads the current version of every secret named, 20 in a call, several calls at a
// time. Each id has an answer of its own under the id as given, so one bad secret does not
// spoil the others.
func (s *Store) Batch(ctx context.Context, ids []string) map[string]Read {
	return inChunks(ids, BatchSize, func(chunk []string) map[string]Read {
		return s.batch(ctx, chunk)
	})
}

// inChunks reads chunks of ids side by side and puts the answers together.
func inChunks(ids []string, size int, read func([]string) map[string]Read) map[string]Read {
	unique := slices.Clone(ids)
	slices.Sort(unique)
	unique = slices.Compact(unique)
	out := make(map[string]Read, len(unique))
	var mu sync.Mutex
	var reading sync.WaitGroup
	places := make(chan struct{}, sideBySide)
	for chunk := range slices.Chunk(unique, size) {
		places <- struct{}{}
		reading.Go(func() {
			defer func() { <-places }()
			answers := read(chunk)
			mu.Lock()
			defer mu.Unlock()
			for id, answer := range answers {
				out[id] = answer
			}
		})
	}
	reading.Wait()
	return out
}

// throttledPasses is how often Batch asks for secrets that Secrets Manager throttled one by
// one within a call that succeeded.
const throttledPasses = 3

// batch reads up to [BatchSize] secrets.
func (s *Store) batch(ctx context.Context, ids []string) map[string]Read {
	out := make(map[string]Read, len(ids))
	for range throttledPasses {
		s.batchOnce(ctx, ids, out)
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			return ErrorKind(out[id].Err) != ErrThrottled
		})
		if len(ids) == 0 || ctx.Err() != nil {
			break
		}
	}
	return out
}

// batchOnce reads the secrets, page after page, and puts an answer for each
// into out.
func (s *Store) batchOnce(ctx context.Context, ids []string, out map[string]Read) {
	told := map[string]bool{}
	answer := func(id string, read Read) { out[id], told[id] = read, true }
	for in := (&secretsmanager.BatchGetSecretValueInput{SecretIdList: ids}); ; {
		page, err := s.api.BatchGetSecretValue(ctx, in, s.batched)
		if err != nil {
			s.batchFailed(ctx, ids, told, answer, classify("BatchGetSecretValue", err))
			return
		}
		for _, v := range page.SecretValues {
			version, err := newVersion(v.ARN, v.VersionId, v.VersionStages, v.CreatedDate,
				v.SecretString, v.SecretBinary)
			for _, id := range ids {
				if id == aws.ToString(v.Name) || isARN(id, aws.ToString(v.ARN)) {
					answer(id, Read{version, err})
				}
			}
		}
		// By "the ARN or name of the secret" (botocore model, APIErrorType).
		for _, e := range page.Errors {
			err := fromCode("BatchGetSecretValue", aws.ToString(e.ErrorCode))
			for _, id := range ids {
				if !told[id] && sameSecret(id, aws.ToString(e.SecretId)) {
					answer(id, Read{Err: err})
				}
			}
		}
		if aws.ToString(page.NextToken) == "" {
			break
		}
		in.NextToken = page.NextToken
	}
	for _, id := range ids {
		if !told[id] { // neither a value nor an error, which does not mean "not there"
			answer(id, Read{Err: &Error{Kind: ErrTransient, Op: "BatchGetSecretValue", Code: "NoAnswer"}})
		}
	}
}

// batchFailed answers for the secrets of a call that failed as a whole. If one secret may
// have caused the failure, batchFailed reads each on its own, because the error does not
// name the secret.
func (s *Store) batchFailed(ctx context.Context, ids []string, told map[string]bool,
	answer func(string, Read), err error,
) {
	kind := ErrorKind(err)
	for _, id := range ids {
		switch {
		case told[id]:
		case kind == ErrNotFound || kind == ErrKMS || kind == ErrRefused:
			version, err := s.Get(ctx, id, Current)
			answer(id, Read{version, err})
		default:
			answer(id, Read{Err: err})
		}
	}
}

// sameSecret reports whether an id as asked and one as answered, each a name or
// an ARN, can mean one secret.
func sameSecret(asked, answered string) bool {
	a, aIsARN := resource(asked)
	b, bIsARN := resource(answered)
	switch {
	case aIsARN == bIsARN:
		return asked == answered || isARN(asked, answered) || isARN(answered, asked)
	case aIsARN:
		return a == b || isARN(b, a)
	}
	return a == b || isARN(a, b)
}

// resource returns the end of an ARN, which is a secret's name and the six characters that
// Secrets Manager appends, or the name as it is.
func resource(id string) (_ string, isARN bool) {
	if !strings.HasPrefix(id, "arn:") {
		return id, false
	}
	_, name, found := strings.Cut(id, ":secret:")
	return name, found
}
