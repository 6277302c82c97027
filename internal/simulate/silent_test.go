package simulate

import (
	"testing"

	fakeidp "evertoken/internal/fake/idp"
)

// TestAProviderThatNeverAnswersIsSentNothingTooOften lets a provider carry out
// everything, or nothing, and answer nothing for an hour: no refresh token is sent more
// often than once and the replay that docs/reliability.md allows.
func TestAProviderThatNeverAnswersIsSentNothingTooOften(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		for name, kind := range map[string]fakeidp.FaultKind{"before": fakeidp.DropBefore, "after": fakeidp.DropAfter} {
			t.Run(s.name+" dropped "+name, func(t *testing.T) {
				f := fault{name: name, loses: true, inject: idpFault(fakeidp.Fault{Kind: kind}, 0)}
				hour := make([][]fault, 12)
				for i := range hour {
					hour[i] = []fault{f}
				}
				problems, output := try(t, s, hour...)
				for _, p := range problems {
					t.Error(p)
				}
				if len(problems) > 0 {
					t.Logf("output:\n%.6000s", output)
				}
			})
		}
	}
}
