// Command godriver reads "<seconds> [fresh]" lines and answers each with the
// access token that the snippet, which the build lays over its package token,
// has at that time, and "<seconds> get <url>" lines with the answer.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/oauth2"

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
		if url, ok := strings.CutPrefix(how, "get "); ok {
			fmt.Println(get(ctx, reader, url))
			continue
		}
		document, err := reader.Read(ctx, how == "fresh")
		if err != nil {
			fmt.Println("error")
			continue
		}
		if source, err := oauth2.TokenSource(reader).Token(); err != nil || source.AccessToken != document.AccessToken {
			fmt.Println("the token source has another token")
			continue
		}
		fmt.Println(document.AccessToken)
	}
}

func get(ctx context.Context, reader *token.Reader, url string) string {
	response, err := reader.Get(ctx, url)
	if err != nil {
		return "error"
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return "error"
	}
	return string(body)
}
