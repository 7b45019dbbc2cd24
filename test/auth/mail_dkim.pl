#!/usr/bin/perl
# Mail::DKIM verifies and signs, for the interop tests:
#   mail_dkim.pl verify|arc-verify KEYS FILE...          prints FILE: RESULT (DETAIL)
#   mail_dkim.pl sign|arc-seal DOMAIN SELECTOR KEYFILE KEYS OUTDIR FILE...
# KEYS: lines of "NAME RECORD".
use strict;
use warnings;
use Mail::DKIM::Verifier;
use Mail::DKIM::Signer;
use Mail::DKIM::ARC::Verifier;
use Mail::DKIM::ARC::Signer;
use Mail::DKIM::PrivateKey;
use Mail::DKIM::DNS;
use Net::DNS;

package TableResolver;
sub new { my ($class, %keys) = @_; return bless {keys => \%keys}, $class }
sub errorstring { return "NXDOMAIN" }
sub send {
    my ($self, $name, $type) = @_;
    my $packet = Net::DNS::Packet->new($name, $type);
    my $text = $self->{keys}{lc $name};
    if (defined $text) {
        my @pieces = $text =~ /(.{1,255})/g;
        $packet->push(answer => Net::DNS::RR->new(name => $name, type => "TXT", txtdata => [@pieces]));
    }
    else { $packet->header->rcode("NXDOMAIN") }
    return $packet;
}
sub query { my $self = shift; return $self->send(@_) }

package main;

sub slurp { my ($path) = @_; local $/; open my $f, "<:raw", $path or die $path; my $text = <$f>; $text =~ s/\r?\n/\r\n/g; return $text }

sub keys_of {
    my %keys;
    open my $f, "<", $_[0] or die $_[0];
    while (<$f>) { chomp; my ($name, $record) = split / /, $_, 2; $keys{lc $name} = $record }
    Mail::DKIM::DNS::resolver(TableResolver->new(%keys));
}

my $verb = shift;
if ($verb =~ /verify/) {
    keys_of(shift);
    for my $path (@ARGV) {
        my $dkim = $verb eq "verify" ? Mail::DKIM::Verifier->new : Mail::DKIM::ARC::Verifier->new;
        $dkim->PRINT(slurp($path));
        $dkim->CLOSE;
        my @all = $verb eq "verify" ? map { $_->result } $dkim->signatures : ();
        printf "%s: %s (%s) %s\n", $path, $dkim->result, $dkim->result_detail // "", join ",", @all;
    }
}
else {
    my ($domain, $selector, $keyfile, $keys, $outdir, @files) = @ARGV;
    keys_of($keys);
    for my $path (@files) {
        my $text = slurp($path);
        my $dkim;
        if ($verb eq "sign") {
            $dkim = Mail::DKIM::Signer->new(Algorithm => "rsa-sha256", Method => "relaxed/simple", Domain => $domain,
                Selector => $selector, KeyFile => $keyfile);
        }
        else {
            $dkim = Mail::DKIM::ARC::Signer->new(Algorithm => "rsa-sha256", Domain => $domain, Selector => $selector,
                SrvId => "mx.example.net", KeyFile => $keyfile, Chain => "ar", Timestamp => 1528637909);
        }
        $dkim->PRINT($text);
        $dkim->CLOSE;
        my $fields = $verb eq "sign" ? $dkim->signature->as_string . "\r\n" : join("\r\n", $dkim->as_strings) . "\r\n";
        my ($name) = $path =~ m{([^/]+)$};
        open my $f, ">:raw", "$outdir/$name" or die "$outdir/$name";
        print $f $fields . $text;
        close $f;
    }
}
