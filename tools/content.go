package tools

import "github.com/mark3labs/mcp-go/mcp"

// What the results of native tools, prompts and resources are made of. The names
// are those of the protocol; only this package and the transport know the library
// that writes them.
type (
	// Content is a text, an image, a sound or a resource.
	Content = mcp.Content
	// NativeResult is the result of a native tool.
	NativeResult = mcp.CallToolResult
	// ResourceContents are what a resource holds.
	ResourceContents = mcp.ResourceContents
	// PromptMessage is a message of a prompt.
	PromptMessage = mcp.PromptMessage
)

// NewNativeResult returns a result of the given contents.
func NewNativeResult(all ...Content) *NativeResult { return &mcp.CallToolResult{Content: all} }

// TextContent is a text.
func TextContent(text string) Content { return mcp.NewTextContent(text) }

// ImageContent is an image, in base64.
func ImageContent(data, mimeType string) Content { return mcp.NewImageContent(data, mimeType) }

// AudioContent is a sound, in base64.
func AudioContent(data, mimeType string) Content { return mcp.NewAudioContent(data, mimeType) }

// EmbeddedContent is a resource inside a result.
func EmbeddedContent(r ResourceContents) Content { return mcp.NewEmbeddedResource(r) }

// TextResource is a resource that is a text.
func TextResource(uri, mimeType, text string) ResourceContents {
	return mcp.TextResourceContents{URI: uri, MIMEType: mimeType, Text: text}
}

// BlobResource is a resource that is not a text, in base64.
func BlobResource(uri, mimeType, data string) ResourceContents {
	return mcp.BlobResourceContents{URI: uri, MIMEType: mimeType, Blob: data}
}

// UserMessage is a message that the user says.
func UserMessage(c Content) PromptMessage { return mcp.NewPromptMessage(mcp.RoleUser, c) }
