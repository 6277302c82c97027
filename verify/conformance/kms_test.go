//go:build conformance_aws

package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// kms calls the three operations of KMS that one open question needs. They do
// not justify a further module.
type kms struct{ config aws.Config }

func (k kms) create(ctx context.Context) (key string, err error) {
	var out struct{ KeyMetadata struct{ Arn string } }
	err = k.call(ctx, "CreateKey", map[string]any{"Description": "evertoken-conformance, may be deleted"}, &out)
	return out.KeyMetadata.Arn, err
}

func (k kms) disable(ctx context.Context, key string) error {
	return k.call(ctx, "DisableKey", map[string]any{"KeyId": key}, nil)
}

func (k kms) remove(ctx context.Context, key string) error {
	return k.call(ctx, "ScheduleKeyDeletion", map[string]any{"KeyId": key, "PendingWindowInDays": 7}, nil)
}

func (k kms) call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"https://kms."+k.config.Region+".amazonaws.com/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService."+operation)
	who, err := k.config.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	hash := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, who, r, hex.EncodeToString(hash[:]), "kms", k.config.Region, time.Now()); err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("kms %s: status %d", operation, response.StatusCode)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
