/** The longest part of a body that is shown to a person when it is not our envelope. */
const MAX_FOREIGN = 200;

interface IEnvelope {
  error?: { message?: string; type?: string; param?: string | null; code?: string | null };
  message?: string;
  reason?: string;
}

/** A request that the platform (or the server before it) refused. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 when no answer came. */
    readonly status: number,
    /** The field at fault. */
    readonly param: string | null = null,
    /** A stable word for programs. */
    readonly code: string | null = null
  ) {
    super(message);
    this.name = 'ApiError';
  }

  /** The error that a response which is not `ok` stands for. */
  static async from(response: Response): Promise<ApiError> {
    const text = await response.text();
    try {
      const body: IEnvelope = JSON.parse(text);
      const message = body.error?.message ?? body.message ?? body.reason;
      if (message) {
        return new ApiError(message, response.status, body.error?.param, body.error?.code);
      }
    } catch {
      // Not JSON: a proxy's page, of which the beginning has to do.
    }
    const shown = /^\s*</.test(text) ? '' : text.slice(0, MAX_FOREIGN);
    return new ApiError(
      `${response.status} ${response.statusText}${shown ? `: ${shown}` : ''}`,
      response.status
    );
  }
}

/** Whether a request was given up by its own caller. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** The text of anything that was thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
