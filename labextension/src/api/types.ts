/** What every object of the API has. */
export interface IObject {
  readonly id: string;
  readonly object: string;
}

/** A page of a list, as OpenAI's API gives it. */
export interface IPage<T> {
  readonly object: 'list';
  readonly data: readonly T[];
  readonly has_more: boolean;
  readonly first_id?: string | null;
  readonly last_id?: string | null;
}

/** What `DELETE` answers. */
export interface IDeleted extends IObject {
  readonly deleted: boolean;
}

export type ModelState = 'pulling' | 'available' | 'loading' | 'loaded' | 'failed';

export interface IModelSource {
  readonly type: string;
  readonly repo?: string | null;
  readonly file?: string | null;
  readonly path?: string | null;
}

export interface IModel extends IObject {
  readonly created: number;
  readonly owned_by: string;
  readonly kind: 'chat' | 'embedding';
  readonly state: ModelState;
  readonly state_reason: string | null;
  readonly progress: { readonly bytes: number; readonly total_bytes: number | null } | null;
  readonly size_bytes: number | null;
  readonly base_model: string | null;
  readonly aliases: readonly string[];
  readonly source: IModelSource | null;
  readonly context_length: number | null;
  readonly parameters: number | null;
}

/** What to register: weights from a hub or from a path of the server's machine. */
export interface IModelCreate {
  readonly source:
    | { readonly type: 'hub'; readonly repo: string; readonly file?: string }
    | { readonly type: 'path'; readonly path: string };
  readonly id?: string;
}

export interface IFile extends IObject {
  readonly bytes: number;
  readonly created_at: number;
  readonly expires_at?: number | null;
  readonly filename: string;
  readonly purpose: string;
  readonly status: string;
  readonly status_details?: string | null;
  readonly sha256: string;
  readonly content_type: string;
  /** Of a text file. */
  readonly lines?: number | null;
}

/** One line of a preview; 1 is the first of the file. */
export interface IPreviewLine {
  readonly number: number;
  readonly text: string;
  /** Whether only the line's beginning is here. */
  readonly truncated: boolean;
}

/** Lines of a text file; `offset` counts lines from 0. */
export interface IFilePreview {
  readonly file_id: string;
  /** The file is not text, so there are no lines. */
  readonly binary: boolean;
  readonly offset: number;
  readonly lines: readonly IPreviewLine[];
  readonly total_lines: number | null;
  readonly has_more: boolean;
}

/** What is wrong with a line; line 0 is the file as a whole. */
export interface IFileProblem {
  readonly line: number;
  readonly message: string;
  /** Where in the line, as `messages[2].role`. */
  readonly param?: string | null;
}

export interface IFileValidation {
  readonly valid: boolean;
  readonly lines: number;
  /** Those that are good to train on. */
  readonly examples: number;
  readonly estimated_tokens: number;
  /** The first ones. */
  readonly errors: readonly IFileProblem[];
  readonly error_count: number;
  readonly warnings: readonly IFileProblem[];
  readonly truncated: boolean;
}

export interface IUploadPart extends IObject {
  readonly upload_id: string;
  readonly bytes: number;
  /** Where in the file it belongs. */
  readonly offset?: number | null;
}

export interface IUpload extends IObject {
  readonly status: 'pending' | 'completed' | 'cancelled' | 'expired';
  readonly bytes: number;
  readonly filename: string;
  readonly file?: IFile | null;
  /** What has been received, when one upload is asked for. */
  readonly parts?: readonly IUploadPart[] | null;
}

/** A fine-tuning job, as far as the shared parts of the panels need it. */
export interface IJobSummary extends IObject {
  readonly state:
    'queued' | 'admitted' | 'running' | 'paused' | 'succeeded' | 'failed' | 'cancelled';
}

/** How the platform is, as the server extension sees it. */
export interface IPlatformStatus {
  readonly state: 'starting' | 'ready' | 'failed' | 'unreachable';
  readonly reason: string | null;
  readonly remedy: string | null;
  readonly embedded: boolean;
  readonly version: string | null;
  readonly base_url: string | null;
}

/** One event of `GET /v1/events`. */
export interface IPlatformEvent<T = unknown> {
  readonly id: number;
  readonly type: string;
  readonly created_at: number;
  readonly object_id: string;
  readonly data: T;
}
