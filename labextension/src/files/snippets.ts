import { clientSnippet, curlSnippet, SnippetMaker } from '../core';

/** Code that reads a file of the platform. */
export const fileSnippets: SnippetMaker = {
  client: id =>
    clientSnippet(
      `content = client.files.content(${JSON.stringify(id)}).text`,
      'print(content[:500])'
    ),
  // There is no magic for one file: this one shows them all.
  magic: () => '%perijove files',
  curl: id => `${curlSnippet(`/v1/files/${id}/content`)} | head -c 500`
};
