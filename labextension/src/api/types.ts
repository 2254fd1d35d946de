import { JobObject } from './jobs';
import type { components } from './schema';

type Schemas = components['schemas'];

/** An object as the platform answers with it: no field is ever left out. */
type Answered<T> = T extends readonly (infer Item)[]
  ? readonly Answered<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]-?: Answered<T[Key]> }
    : T;

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

export type IModel = Answered<Schemas['Model']>;
export type ModelState = IModel['state'];

/** What to register: weights from a hub or from a path of the platform's machine. */
export interface IModelCreate {
  readonly source:
    | { readonly type: 'hub'; readonly repo: string; readonly file?: string }
    | { readonly type: 'path'; readonly path: string };
  readonly id?: string;
}

export type IFile = Answered<Schemas['FileObject']>;
export type IPreviewLine = Answered<Schemas['PreviewLine']>;
export type IFileProblem = Answered<Schemas['Problem']>;
export type IUploadPart = Answered<Schemas['UploadPart']>;
export type IUpload = Answered<Schemas['Upload']>;

export type IFilePreview = Answered<Schemas['Preview']>;
export type IFileValidation = Answered<Schemas['Validation']>;

/** A place where jobs run, as lists and events tell of it. */
export type ICluster = Answered<Schemas['Cluster']>;
export type IClusterDetail = Answered<Schemas['ClusterDetail']>;
export type IClusterCreated = Answered<Schemas['ClusterCreated']>;
export type IClusterNode = Answered<Schemas['Node']>;
export type IClusterQueue = Answered<Schemas['Queue']>;
export type IQuota = Answered<Schemas['Quota']>;
export type IRegistrationToken = Answered<Schemas['RegistrationToken']>;

/** A command that the platform runs to its end. */
export type IBatchJob = Answered<Schemas['BatchJob']>;
/** Where a job stands. */
export type JobState = Schemas['JobState'];
export type IBatchJobCreate = Schemas['BatchJobCreate'];

/** A job of any kind, as far as the shared parts of the panels need it. */
export type IJobSummary = Pick<Answered<Schemas['FineTuningJob']>, 'id' | 'state'> & {
  readonly object: JobObject;
};

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
