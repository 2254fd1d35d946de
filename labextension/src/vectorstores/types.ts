import { IObject } from '../api/types';

/** Text, number or truth value, as OpenAI allows them. */
export type AttributeValue = string | number | boolean;

export type Attributes = Readonly<Record<string, AttributeValue>>;

/** A vector store as the platform returns it. Times are Unix seconds. */
export interface IVectorStore extends IObject {
  readonly created_at: number;
  readonly name: string;
  readonly status: 'expired' | 'in_progress' | 'completed';
  readonly usage_bytes: number;
  readonly file_counts: {
    readonly in_progress: number;
    readonly completed: number;
    readonly failed: number;
    readonly cancelled: number;
    readonly total: number;
  };
  readonly expires_after: { readonly anchor: string; readonly days: number } | null;
  readonly expires_at: number | null;
  readonly last_active_at: number | null;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly embedding_model?: string;
}

/** A file in a vector store. */
export interface IStoreFile extends IObject {
  readonly created_at: number;
  readonly vector_store_id: string;
  readonly filename?: string;
  readonly status: 'in_progress' | 'completed' | 'cancelled' | 'failed';
  readonly last_error: { readonly code: string; readonly message: string } | null;
  readonly usage_bytes: number;
  readonly attributes: Attributes | null;
}

/** Where in its file a passage is, from 1, both ends included. */
export interface IPassageSource {
  readonly unit: 'line' | 'page' | 'paragraph' | 'cell' | 'row';
  readonly start: number;
  readonly end: number;
}

/** A passage that a search found. */
export interface ISearchResult {
  readonly file_id: string;
  readonly filename: string;
  readonly score: number;
  readonly attributes: Attributes | null;
  readonly content: readonly {
    readonly type: string;
    readonly text: string;
    readonly source?: IPassageSource | null;
  }[];
}
