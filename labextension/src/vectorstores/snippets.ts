import { clientSnippet, curlSnippet, SnippetMaker } from '../core';

/** The kind of snippets of a search; made by {@link searchId}. */
export const SEARCH_KIND = 'vector-store-search';

const QUERY = 'What are you looking for?';

/** A search as an object that code can be written for. */
export function searchId(storeId: string, query: string): string {
  return JSON.stringify([storeId, query]);
}

/** Code for a vector store. */
export const storeSnippets: SnippetMaker = {
  client: id => searchWithClient(id, QUERY),
  magic: () => '%load_ext perijove\n%perijove vector-stores',
  curl: id => searchWithCurl(id, QUERY)
};

/** Code for a search in one. */
export const searchSnippets: SnippetMaker = {
  client: id => searchWithClient(...parts(id)),
  // A search has no magic of its own.
  magic: id => searchWithClient(...parts(id)),
  curl: id => searchWithCurl(...parts(id))
};

function searchWithClient(id: string, query: string): string {
  return clientSnippet(
    'results = client.vector_stores.search(',
    `    ${JSON.stringify(id)}, query=${JSON.stringify(query)}, max_num_results=5`,
    ')',
    'for result in results:',
    '    print(f"{result.score:.3f} {result.filename}: {result.content[0].text[:200]}")'
  );
}

function searchWithCurl(id: string, query: string): string {
  return curlSnippet(`/v1/vector_stores/${id}/search`, { query, max_num_results: 5 });
}

function parts(id: string): [string, string] {
  return JSON.parse(id);
}
