//go:build verify

package conformance

// A difference is moto's answer where it differs from AWS's, and why moto is wrong.
type difference struct{ got, reason string }

const (
	unlimited   = "moto keeps no quotas and does not enforce the sizes of the service model"
	unvalidated = "moto does not validate what it stores"
	described   = "moto describes and lists every version, labelled or not, and ignores IncludeDeprecated"
	vague       = "moto has one text for a secret and a value that are not there"
)

// motoDiffers lists where moto 5.2.1 is known to differ, by the fact's name.
var motoDiffers = map[string]difference{
	"the version before the previous one has no label and is not described": {
		"ok v1: v2:AWSPREVIOUS v3:AWSCURRENT", described},
	"versions without labels are listed only on demand": {
		"v1: v2:AWSPREVIOUS v3:AWSCURRENT, all v1: v2:AWSPREVIOUS v3:AWSCURRENT", described},
	"AWSPENDING goes when AWSCURRENT moves on, other labels stay": {
		"ok v1:AWSPREVIOUS v2:AWSCURRENT+AWSPENDING+MINE v3:AWSCURRENT",
		"moto's pointer to the current version is not moved by UpdateSecretVersionStage: the next put takes AWSCURRENT off the wrong version"},
	"without a label the current value is read": {
		"AWSCURRENT two, without one",
		"the same pointer: only a read that names AWSCURRENT is right, which is how Evertoken reads"},
	"a label of one's own does not move without RemoveFromVersionId": {
		"ok v1:AWSCURRENT+MINE v2:MINE",
		"moto compares AWSCURRENT only: two versions hold the label, so no claim by a label can be tried against it"},
	"a label can't move to a version that is not there, and nothing changes": {
		"InvalidParameterException v1:",
		"moto takes the label off before it looks for the version"},
	"AWSCURRENT can't be removed": {
		"ok v1:AWSPREVIOUS", "moto has no such rule"},
	"a move without any version is refused": {
		"ok v1:AWSCURRENT", "moto has no such rule"},
	"another value under the id of a pending version is refused": {
		"ok v1:AWSCURRENT v2:AWSPENDING", "moto overwrites a version that has AWSPENDING"},
	"at most 20 labels":                           {"21 labels are accepted", unlimited},
	"at most 100 versions younger than 24 hours":  {"no limit", unlimited},
	"a value has at most 65,536 bytes":            {"true true", unlimited},
	"a batch takes at most 20 secrets":            {"true", unlimited},
	"text and bytes together are refused":         {"true", unvalidated},
	"a name with characters that are not allowed": {"ok", unvalidated},
	"a standard parameter holds 4 KiB, an advanced one 8": {
		"Standard Intelligent-Tiering Intelligent-Tiering Intelligent-Tiering ",
		"moto keeps no sizes and repeats the tier asked for instead of choosing one"},
	"a secret without a value": {
		"ResourceNotFoundException: Secrets Manager can't find the specified secret.", vague},
	"a label without a version": {
		"ResourceNotFoundException: Secrets Manager can't find the specified secret.", vague},
	"a batch answers for each secret": {
		"ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: AWSCURRENT",
		"one secret without a value fails moto's whole call"},
	"a secret marked for deletion can't be written": {
		"put ok, move ok", "moto looks at the deletion in reads only"},
	"the name of a secret that is marked for deletion": {
		"ResourceExistsException: The operation failed because the secret NAME already exists.",
		"moto does not look at the deletion"},
	"refusals have the status 400": {
		"404", "moto answers what HTTP suggests; the SDKs go by the error code"},
	"rotation without a function": {
		"ok v1:AWSPREVIOUS v2:AWSCURRENT",
		"moto promotes an empty version: its RotateSecret can't be used at all"},
}
