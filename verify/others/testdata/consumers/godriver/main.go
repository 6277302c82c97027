// Command godriver reads "<seconds> [fresh]" lines and answers each with the
// access token that the snippet, which the build lays over its package token,
// has at that time.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"evertoken/verify/others/testdata/consumers/godriver/token"
)

func main() {
	ctx := context.Background()
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var clock time.Time
	reader := &token.Reader{Client: secretsmanager.NewFromConfig(c), SecretID: os.Getenv("SECRET_ID"),
		Now: func() time.Time { return clock }}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		seconds, how, _ := strings.Cut(lines.Text(), " ")
		unix, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		clock = time.Unix(unix, 0)
		document, err := reader.Read(ctx, how == "fresh")
		if err != nil {
			fmt.Println("error")
			continue
		}
		fmt.Println(document.AccessToken)
	}
}
