package connection_test

import (
	"fmt"

	"evertoken/internal/connection"
)

// One parameter may hold several connections. A connection that is wrong gets an
// error that names the member and the remedy; the others are loaded.
func ExampleLoad() {
	parameters := []connection.Parameter{
		{Name: "/evertoken/connections/flexera-prod",
			Value: `{"provider": "flexera", "settings": {"zone": "eu"}}`},
		{Name: "/evertoken/connections/shops", Value: `{"connections": {
			"crm":  {"provider": "oauth2", "settings": {"grant": "client_credentials"}},
			"shop": {"provider": "sharetribe", "min_remaining": "soon"}
		}}`},
	}
	rules := connection.Rules{Path: "/evertoken/connections/", ParameterPrefix: "/evertoken/"}
	for _, d := range connection.Load(parameters, rules) {
		if d.Err != nil {
			fmt.Println(d.Name, "is refused:", d.Err)
			continue
		}
		fmt.Println(d.Name, "publishes to", d.Connection.Token)
	}
	// Output:
	// crm publishes to evertoken/crm/token
	// flexera-prod publishes to evertoken/flexera-prod/token
	// shop is refused: connection shop: "min_remaining" must be a duration, such as "10m", "24h" or "14d"
}
