package rotate

import (
	"errors"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// TestOnlyAPermanentRefusalEndsAValue: Evertoken repeats a proof after a fault that passes
// or a refusal, and gives a value up only after a refusal.
func TestOnlyAPermanentRefusalEndsAValue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err                    error
		again, refused, isDead bool
	}{
		"the credential is refused":          {&exchange.Error{Class: exchange.CredentialDead}, true, true, true},
		"the grant is refused":               {&exchange.Error{Class: exchange.GrantDead}, true, true, true},
		"a fault that passes":                {&exchange.Error{Class: exchange.Transient}, true, false, false},
		"the access token is refused":        {&exchange.Error{Class: exchange.Misconfigured, Status: 401}, true, true, false},
		"a right is missing":                 {&exchange.Error{Class: exchange.Misconfigured, Status: 403}, false, false, false},
		"the provider asks for fewer":        {&exchange.Error{Class: exchange.Throttled, Status: 429}, false, false, false},
		"an error that no provider has sent": {errors.New("a setting is missing"), false, false, false},
	} {
		r := &rotation{}
		if got := r.worthAgain(test.err); got != test.again {
			t.Errorf("%s: repeats the proof: %v, want %v", name, got, test.again)
		}
		if got := refusedForGood(asExchange(test.err)); got != test.refused {
			t.Errorf("%s: gives the value up: %v, want %v", name, got, test.refused)
		}
		if got := dead(test.err); got != test.isDead {
			t.Errorf("%s: tries the client of AWSPREVIOUS: %v, want %v", name, got, test.isDead)
		}
	}
}

// TestAnErrorNamesItsStepAndItsSecret if they are known.
func TestAnErrorNamesItsStepAndItsSecret(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]Failure{
		"setSecret of mine: it failed":   {Step: setStep, Secret: "mine", Problem: "it failed"},
		"setSecret: it failed":           {Step: setStep, Problem: "it failed"},
		"a step of mine: it failed":      {Secret: "mine", Problem: "it failed"},
		"setSecret: it failed. Mend it.": {Step: setStep, Problem: "it failed", Hint: "mend it"},
	} {
		if got := f.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestASupersededRotationNamesTheOther if another rotation began.
func TestASupersededRotationNamesTheOther(t *testing.T) {
	t.Parallel()
	r := &rotation{event: events.SecretsManagerSecretRotationEvent{Step: createStep}, name: "mine"}
	for want, labels := range map[string]map[string][]string{
		"createSecret of mine: another rotation began meanwhile, to version bbb, " +
			"so this rotation ends here. You need to do nothing: " +
			"Secrets Manager continues the other rotation.": {"bbb": {secrets.Pending}},
		"createSecret of mine: AWSPENDING was removed from this version meanwhile, " +
			"so this rotation ends here. To begin a new rotation: " +
			"`aws secretsmanager rotate-secret --secret-id mine`.": {
			"bbb": {secrets.Current}},
	} {
		if got := r.superseded(secrets.Description{Labels: labels}).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
