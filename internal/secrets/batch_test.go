package secrets_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/secrets"
)

// batches answers BatchGetSecretValue and nothing else.
type batches struct {
	secrets.API
	answer func(*secretsmanager.BatchGetSecretValueInput) (*secretsmanager.BatchGetSecretValueOutput, error)
}

func (b batches) BatchGetSecretValue(_ context.Context, in *secretsmanager.BatchGetSecretValueInput,
	_ ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error) {
	return b.answer(in)
}

// TestABatchNamesItsErrorsEitherWay: "The ARN or name of the secret" (botocore
// model, APIErrorType.SecretId), whichever of the two was asked for.
func TestABatchNamesItsErrorsEitherWay(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:evertoken/c/token"
	for _, asked := range []string{"evertoken/c/token", arn, arn + "-AbCdEf"} {
		for _, answered := range []string{"evertoken/c/token", arn, arn + "-AbCdEf"} {
			api := batches{answer: func(*secretsmanager.BatchGetSecretValueInput) (*secretsmanager.BatchGetSecretValueOutput, error) {
				return &secretsmanager.BatchGetSecretValueOutput{Errors: []types.APIErrorType{{
					SecretId: &answered, ErrorCode: aws.String("ResourceNotFoundException"),
				}}}, nil
			}}
			other := "evertoken/c/tokens"
			read := secrets.NewStore(api, nil).Batch(t.Context(), []string{asked, other})
			wantKind(t, read[asked].Err, secrets.ErrNotFound)
			wantKind(t, read[other].Err, secrets.ErrTransient) // neither a value nor an error
			if t.Failed() {
				t.Fatalf("requested %s, answered by %s", asked, answered)
			}
		}
	}
}

// TestAnErrorInABatchLeavesTheOtherValues: a name that looks like another with the six
// characters at its end.
func TestAnErrorInABatchLeavesTheOtherValues(t *testing.T) {
	t.Parallel()
	api := batches{answer: func(*secretsmanager.BatchGetSecretValueInput) (*secretsmanager.BatchGetSecretValueOutput, error) {
		return &secretsmanager.BatchGetSecretValueOutput{
			SecretValues: []types.SecretValueEntry{{Name: aws.String("a"), ARN: aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:a-GhIjKl"), SecretString: aws.String("v")}},
			Errors:       []types.APIErrorType{{SecretId: aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"), ErrorCode: aws.String("ResourceNotFoundException")}},
		}, nil
	}}
	read := secrets.NewStore(api, nil).Batch(t.Context(), []string{"a", "a-AbCdEf"})
	wantKind(t, read["a"].Err, nil)
	wantKind(t, read["a-AbCdEf"].Err, secrets.ErrNotFound)
}

func TestAThrottledSecretIsReadAgain(t *testing.T) {
	t.Parallel()
	for times, kind := range map[int]error{2: nil, 3: secrets.ErrThrottled} {
		w := newWorld(t)
		for _, name := range []string{"a", "b"} {
			w.secret(name, "v")
		}
		w.Inject(&fakeaws.Fault{Operation: "BatchGetSecretValue", Resource: "a",
			Code: "ThrottlingException", Times: times})
		read := w.store.Batch(t.Context(), []string{"a", "b"})
		wantKind(t, read["a"].Err, kind)
		wantKind(t, read["b"].Err, nil)
	}
}

func TestBatchesAreReadConcurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		api := batches{answer: func(in *secretsmanager.BatchGetSecretValueInput) (*secretsmanager.BatchGetSecretValueOutput, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			out := &secretsmanager.BatchGetSecretValueOutput{}
			for _, id := range in.SecretIdList {
				out.SecretValues = append(out.SecretValues,
					types.SecretValueEntry{Name: &id, ARN: &id, SecretString: &id})
			}
			return out, nil
		}}
		var ids []string
		for i := range 40 * secrets.BatchSize {
			ids = append(ids, fmt.Sprintf("s/%03d", i))
		}
		began := time.Now()
		read := secrets.NewStore(api, nil).Batch(t.Context(), slices.Concat(ids, ids))
		if took := time.Since(began); took != 4*time.Second || most != 10 {
			t.Errorf("forty calls took %s, at most %d at once", took, most)
		}
		for _, id := range ids {
			if read[id].Err != nil || read[id].Version.Value.Reveal() != id {
				t.Fatalf("%s: %+v", id, read[id])
			}
		}
	})
}
