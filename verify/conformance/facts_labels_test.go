package conformance

import "context"

// step is one call of a sequence.
type step func(context.Context, *world) error

func put(version, value string, labels ...string) step {
	return func(ctx context.Context, w *world) error { return w.put(ctx, version, value, labels...) }
}

func move(label, from, to string) step {
	return func(ctx context.Context, w *world) error { return w.move(ctx, label, from, to) }
}

// after makes the secret with version v1, takes all steps but the last, which must
// succeed, and returns the answer to the last one and the labels of each version after
// it.
func after(steps ...step) func(context.Context, *world) string {
	return func(ctx context.Context, w *world) string {
		if err := w.with(ctx); err != nil {
			return unprepared(err)
		}
		for _, s := range steps[:len(steps)-1] {
			if err := s(ctx, w); err != nil {
				return unprepared(err)
			}
		}
		err := steps[len(steps)-1](ctx, w)
		return code(err) + " " + w.labels(ctx)
	}
}

const (
	recorded = "github.com/localstack/localstack 8b9a79f tests/aws/services/secretsmanager/test_secretsmanager.snapshot.json "
	model    = "botocore secretsmanager/2017-10-17 "
	modelSSM = "botocore ssm/2014-11-06 "
)

// labelFacts are about staging labels: which version has them and which moves AWS
// accepts.
var labelFacts = []fact{
	{
		name: "a put without labels moves AWSCURRENT and AWSPREVIOUS follows", source: model + "PutSecretValue",
		see: after(put("v2", "two")), want: "ok v1:AWSPREVIOUS v2:AWSCURRENT", real: true,
	},
	{
		name: "the version before the previous one has no label and is not described", source: recorded + "test_deprecated_secret_version_stage",
		see: after(put("v2", "two"), put("v3", "three")), want: "ok v2:AWSPREVIOUS v3:AWSCURRENT",
	},
	{
		name: "labels of a put move without comparing", source: recorded + "test_non_versioning_version_stages_replacement",
		see:  after(put("v2", "two", "one", "two", "three"), put("v3", "three", "one", "two", "four")),
		want: "ok v1:AWSCURRENT v2:three v3:four+one+two",
	},
	{
		name: "a put under AWSPENDING leaves AWSCURRENT", source: recorded + "test_update_secret_version_stages_current_pending",
		see: after(put("v2", "two", "AWSPENDING")), want: "ok v1:AWSCURRENT v2:AWSPENDING",
	},
	{
		name: "promotion leaves AWSPENDING on the version", source: recorded + "test_update_secret_version_stages_current_pending",
		see:  after(put("v2", "two", "AWSPENDING"), move("AWSCURRENT", "v1", "v2")),
		want: "ok v1:AWSPREVIOUS v2:AWSCURRENT+AWSPENDING",
	},
	{
		name: "AWSPENDING goes when AWSCURRENT moves on, other labels stay", source: recorded + "test_update_secret_version_stages_current_pending_cycle_custom_stages_1",
		see:  after(put("v2", "two", "AWSPENDING", "MINE"), move("AWSCURRENT", "v1", "v2"), put("v3", "three")),
		want: "ok v2:AWSPREVIOUS+MINE v3:AWSCURRENT",
	},
	{
		name: "AWSCURRENT can be moved back", source: recorded + "test_update_secret_version_stages_current_previous",
		see: after(put("v2", "two"), move("AWSCURRENT", "v2", "v1")), want: "ok v1:AWSCURRENT v2:AWSPREVIOUS",
	},
	{
		name: "a label without a version needs no RemoveFromVersionId", source: model + "UpdateSecretVersionStage",
		see: after(move("MINE", "", "v1")), want: "ok v1:AWSCURRENT+MINE",
	},
	{
		name: "a removed label is on no version", source: model + "UpdateSecretVersionStage",
		see: after(move("MINE", "", "v1"), move("MINE", "v1", "")), want: "ok v1:AWSCURRENT",
	},
	{
		name: "AWSCURRENT moves only from the version named", source: model + "UpdateSecretVersionStage.RemoveFromVersionId",
		see:  after(put("v2", "two"), put("v3", "three", "AWSPENDING"), move("AWSCURRENT", "v1", "v3")),
		want: "InvalidParameterException v1:AWSPREVIOUS v2:AWSCURRENT v3:AWSPENDING", real: true,
	},
	{
		name: "AWSCURRENT does not move without RemoveFromVersionId", source: model + "UpdateSecretVersionStage.RemoveFromVersionId",
		see:  after(put("v2", "two", "AWSPENDING"), move("AWSCURRENT", "", "v2")),
		want: "InvalidParameterException v1:AWSCURRENT v2:AWSPENDING",
	},
	{
		name: "a label of one's own does not move without RemoveFromVersionId", source: model + "UpdateSecretVersionStage.RemoveFromVersionId",
		see:  after(put("v2", "two", "MINE"), move("MINE", "", "v1")),
		want: "InvalidParameterException v1:AWSCURRENT v2:MINE", real: true,
	},
	{
		name: "a label of one's own moves only from the version named", source: model + "UpdateSecretVersionStage.RemoveFromVersionId",
		see:  after(put("v2", "two", "MINE"), move("MINE", "v1", "v1")),
		want: "InvalidParameterException v1:AWSCURRENT v2:MINE",
	},
	{
		name: "a label can't move to a version that is not there, and nothing changes", source: model + "UpdateSecretVersionStage, errors",
		see: after(move("AWSCURRENT", "v1", "none")), want: "ResourceNotFoundException v1:AWSCURRENT",
	},
	{
		name: "AWSCURRENT can't be removed", source: "github.com/hashicorp/terraform-provider-aws internal/service/secretsmanager/secret_version.go",
		see: after(move("AWSCURRENT", "v1", "")), want: "InvalidParameterException v1:AWSCURRENT",
	},
	{
		name: "a move without any version is refused", source: model + "UpdateSecretVersionStage",
		see: after(move("MINE", "", "")), want: "InvalidParameterException v1:AWSCURRENT",
	},
	{
		name: "at most 20 labels", source: model + "PutSecretValue; docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html",
		see: func(ctx context.Context, w *world) string {
			if err := first(w.with(ctx), w.put(ctx, "v2", "two", numbered("A", 20)...)); err != nil {
				return code(err)
			}
			return "21 labels are accepted"
		},
		want: "LimitExceededException",
	},
}
