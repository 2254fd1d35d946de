import { pathOnServer } from '../picker';

const contents = { localPath: (path: string) => path.replace(/^RTC:/, '') };

describe('pathOnServer', () => {
  it('is absolute, whatever the root', () => {
    expect(pathOnServer(contents, 'models/a.gguf', '/home/me')).toBe('/home/me/models/a.gguf');
    expect(pathOnServer(contents, 'srv/a.gguf', '/')).toBe('/srv/a.gguf');
    expect(pathOnServer(contents, 'RTC:a.gguf', '~/notebooks')).toBe('~/notebooks/a.gguf');
  });

  it('is the root itself when that folder was chosen', () => {
    expect(pathOnServer(contents, '', '/home/me')).toBe('/home/me');
  });
});
