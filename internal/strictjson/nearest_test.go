package strictjson_test

import (
	"testing"

	"evertoken/internal/strictjson"
)

func TestATypingErrorFindsTheNearestWord(t *testing.T) {
	t.Parallel()
	known := []string{"client_credentials", "refresh_token", "password", "box"}
	for word, want := range map[string]string{
		"client_credential": "client_credentials", "refreshtoken": "refresh_token", "pasword": "password",
		"passwords": "password", "account_credentials": "", "": "", "password": "", "bx": "box", "xy": "",
	} {
		if got := strictjson.Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
